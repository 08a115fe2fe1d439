"""Stand-ins for PostgreSQL and Redis: laid out as Docker's official images, in one layer."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from devcloud.toolchain import database_standins, debian
from devcloud.toolchain.work import Work


def made(root: Path, _packages: Sequence[str], _work: Work) -> None:
    """Make the folders of a Debian with both packages."""
    for name in ("etc", "usr/local/bin", "usr/share/postgresql/15", "usr/lib/postgresql/15/bin", "usr/lib/x86"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nredis:x:101:101::/:/bin/false\npostgres:x:102:102::/:/x\n"
    )
    (root / "etc/group").write_text("root:x:0:\nsystemd-journal:x:999:\n")
    (root / "usr/lib/postgresql/15/bin/psql").write_text("new")
    (root / "usr/lib/x86/libLLVM-14.so.1").write_text("large")
    (root / "usr/share/postgresql/15/postgresql.conf.sample").write_text("#listen_addresses = 'localhost'\n")
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a Debian that is laid out."""
    with Work(lambda _: None) as work:
        made(tmp_path / "root", (), work)
    database_standins._lay_out(tmp_path / "root")
    return tmp_path / "root"


def test_both_run_as_the_user_of_the_official_images(root: Path) -> None:
    assert (root / "etc/passwd").read_text() == (
        "root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n"
    )
    assert (root / "etc/group").read_text() == "root:x:0:\npostgres:x:999:\n"


def test_the_programs_are_on_the_path_and_the_server_is_for_others(root: Path) -> None:
    assert (root / "usr/local/bin/psql").readlink() == Path("/usr/lib/postgresql/15/bin/psql")
    assert (root / "usr/share/postgresql/15/postgresql.conf.sample").read_text() == "listen_addresses = '*'\n"
    assert (root / "usr/local/bin/docker-entrypoint.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "run/postgresql").stat().st_mode & 0o7777 == 0o1777
    assert not (root / "usr/lib/x86/libLLVM-14.so.1").exists()


def test_they_share_their_only_layer_and_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(debian, "install", lambda packages, *_: asked.extend(packages))
    monkeypatch.setattr(database_standins, "bootstrap", made)
    for _ in range(2):
        postgres, redis = database_standins.ensure(tmp_path, lambda _: None)
    assert postgres.archives == redis.archives
    assert asked == ["debootstrap"]
    assert "STOPSIGNAL SIGINT" in postgres.dockerfile
    assert 'ENTRYPOINT ["docker-entrypoint.sh"]' in postgres.dockerfile
    assert "ENTRYPOINT" not in redis.dockerfile


def test_only_a_registry_that_has_them_gives_references(tmp_path: Path) -> None:
    assert database_standins.published(tmp_path, "127.0.0.1:5001") == {}
