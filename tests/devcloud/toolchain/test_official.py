"""The official distributions: their addresses, and how a download ends."""

import io
import tarfile
from pathlib import Path

import pytest

from devcloud.toolchain import official


@pytest.fixture
def everything_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "reachable", lambda _host: True)


def _archive(file: Path, name: str) -> str:
    with tarfile.open(file, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode = 2, 0o755
        archive.addfile(info, io.BytesIO(b"ok"))
    return file.as_uri()


@pytest.mark.usefixtures("everything_reachable")
def test_an_archive_is_unpacked_from_the_first_address_that_has_it(tmp_path: Path) -> None:
    missing = (tmp_path / "missing.tar.gz").as_uri()
    there = _archive(tmp_path / "there.tar.gz", "pulumi/pulumi")
    assert official.unpack([missing, there], tmp_path / "pulumi")
    assert (tmp_path / "pulumi" / "pulumi" / "pulumi").read_text() == "ok"


@pytest.mark.usefixtures("everything_reachable")
def test_an_archive_cut_short_leaves_nothing(tmp_path: Path) -> None:
    address = _archive(tmp_path / "cut.tar.gz", "pulumi/pulumi")
    content = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    target = tmp_path / "parts" / "pulumi"
    assert not official.unpack([address], target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.usefixtures("everything_reachable")
def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    address = _archive(tmp_path / "bad.tar.gz", "../outside")
    assert not official.unpack([address], tmp_path / "parts" / "pulumi")
    assert not (tmp_path / "parts" / "outside").exists()


def test_a_host_out_of_reach_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "reachable", lambda _host: False)
    there = _archive(tmp_path / "there.tar.gz", "pulumi/pulumi")
    assert not official.unpack([there], tmp_path / "pulumi")


def test_nothing_listening_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "CONNECT_SECONDS", 1)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not official.reachable("no-such-host.invalid")


def test_addresses_name_version_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert official.pulumi()[0].endswith("/sdk/pulumi-v3.259.0-linux-x64.tar.gz")
    assert official.pulumi_plugin("aws", "7.51.1")[0].endswith("/pulumi-resource-aws-v7.51.1-linux-amd64.tar.gz")
    assert official.buildkit()[0].endswith("/v0.31.1/buildkit-v0.31.1.linux-amd64.tar.gz")
