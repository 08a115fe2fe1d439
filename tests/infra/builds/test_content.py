"""The files of an image are listed and hashed alike everywhere."""

import os
from pathlib import Path

import pytest

from infra.builds.content import ContentError, ContextFile, check_size, list_context
from tests.infra.builds.conftest import ALLOW, FILES, checkout, paths, tag


def test_a_build_sees_what_the_list_allows_sorted_and_nothing_else(root: Path) -> None:
    assert paths(list_context(root, ALLOW)) == [
        "app/__init__.py",
        "app/api/main.py",
        "app/api/routes/labs.py",
        "images/api/Dockerfile",
        "images/api/start.sh",
    ]


def test_caches_and_prose_are_left_out(root: Path) -> None:
    listed = list_context(root, ALLOW)
    for name in ("app/api/__pycache__/main.cpython-311.pyc", "app/api/stray.pyc", "images/api/README.md"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    assert list_context(root, ALLOW) == listed


def test_a_star_stands_for_a_part_of_a_name_only(root: Path) -> None:
    assert paths(list_context(root, ["app/*/main.py"])) == ["app/api/main.py", "app/worker/main.py"]
    assert paths(list_context(root, ["app/**/labs.py"])) == ["app/api/routes/labs.py"]
    assert paths(list_context(root, ["app/**/main.py"])) == ["app/api/main.py", "app/worker/main.py"]


def test_a_file_that_two_patterns_name_is_listed_once(root: Path) -> None:
    assert paths(list_context(root, ["app/api/main.py", "app/api/*.py"])) == ["app/api/main.py"]


@pytest.mark.parametrize("pattern", ["app/apy/**", "app/nothing.py", "images/api/*.toml"])
def test_a_pattern_that_matches_nothing_is_an_error(root: Path, pattern: str) -> None:
    with pytest.raises(ContentError, match="No file matches"):
        list_context(root, [pattern])


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../other/**", "app/../../x", ""])
def test_a_pattern_cannot_lead_out_of_the_repository(root: Path, pattern: str) -> None:
    with pytest.raises(ContentError, match="must be relative to the repository"):
        list_context(root, [pattern])


def test_a_link_out_of_the_repository_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (root / "app/api/link.py").symlink_to(tmp_path / "secret")
    with pytest.raises(ContentError, match=r'"app/api/link.py" is a link that leads out of the repository'):
        list_context(root, ALLOW)


def test_a_link_to_a_folder_is_refused(root: Path) -> None:
    (root / "app/api/link").symlink_to(root / "app/worker")
    with pytest.raises(ContentError, match=r'"app/api/link" is a link to a folder'):
        list_context(root, ALLOW)


def test_a_link_to_nothing_is_refused(root: Path) -> None:
    (root / "app/api/link").symlink_to("nowhere")
    with pytest.raises(ContentError, match=r'"app/api/link" cannot be read'):
        list_context(root, ALLOW)


def test_a_link_within_the_repository_is_the_file_that_it_leads_to(root: Path) -> None:
    (root / "app/api/link.py").symlink_to("../worker/main.py")
    (linked,) = list_context(root, ["app/api/link.py"])
    (target,) = list_context(root, ["app/worker/main.py"])
    assert (linked.path, linked.sha256) == ("app/api/link.py", target.sha256)


def test_what_is_no_ordinary_file_is_refused(root: Path) -> None:
    os.mkfifo(root / "app/api/pipe")
    with pytest.raises(ContentError, match=r'"app/api/pipe" is not an ordinary file'):
        list_context(root, ALLOW)


def test_a_name_that_is_not_utf_8_is_refused(root: Path) -> None:
    (root / "app/api" / os.fsdecode(b"\xff.py")).touch()
    with pytest.raises(ContentError, match="is not UTF-8"):
        list_context(root, ALLOW)


def test_an_extra_file_comes_from_outside_the_repository(root: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "torch.whl"
    wheel.write_text("wheel")
    files = list_context(root, ["app/__init__.py"], {"wheels/torch.whl": wheel})
    assert paths(files) == ["app/__init__.py", "wheels/torch.whl"]


@pytest.mark.parametrize("name", ["/wheels/x", "../x", "app/__init__.py"])
def test_an_extra_file_needs_a_path_of_its_own(root: Path, name: str) -> None:
    with pytest.raises(ContentError, match="a relative path of its own"):
        list_context(root, ["app/__init__.py"], {name: root / "app/api/main.py"})


def test_two_checkouts_under_different_umasks_have_the_same_tag(tmp_path: Path) -> None:
    one = checkout(tmp_path / "one", 0o022)
    other = checkout(tmp_path / "somewhere" / "else", 0o002)
    assert (one / "app/api/main.py").stat().st_mode != (other / "app/api/main.py").stat().st_mode
    assert tag(list_context(one, ALLOW)) == tag(list_context(other, ALLOW))


def test_the_time_of_a_file_does_not_count(root: Path) -> None:
    before = tag(list_context(root, ALLOW))
    os.utime(root / "app/api/main.py", (1, 1))
    assert tag(list_context(root, ALLOW)) == before


def test_a_change_outside_of_the_list_changes_no_tag(root: Path) -> None:
    before = tag(list_context(root, ALLOW))
    (root / "app/worker/main.py").write_text("print('other')\n")
    assert tag(list_context(root, ALLOW)) == before


def test_a_changed_line_changes_the_tag_and_its_revert_brings_it_back(root: Path) -> None:
    file = root / "app/api/main.py"
    before = tag(list_context(root, ALLOW))
    file.write_text("print('hullo')\n")  # as long as before
    assert tag(list_context(root, ALLOW)) != before
    file.write_text(FILES["app/api/main.py"])
    assert tag(list_context(root, ALLOW)) == before


def test_a_renamed_file_changes_the_tag(root: Path) -> None:
    before = tag(list_context(root, ALLOW))
    (root / "app/api/main.py").rename(root / "app/api/start.py")
    assert tag(list_context(root, ALLOW)) != before


def test_of_the_mode_only_the_owners_executable_bit_counts(root: Path) -> None:
    before = tag(list_context(root, ALLOW))
    (root / "app/api/main.py").chmod(0o666)
    assert tag(list_context(root, ALLOW)) == before
    (root / "app/api/main.py").chmod(0o655)
    assert tag(list_context(root, ALLOW)) == before
    (root / "app/api/main.py").chmod(0o744)
    assert tag(list_context(root, ALLOW)) != before


@pytest.mark.parametrize(
    "change",
    [
        {"image": "worker"},
        {"build_args": {"PYTHON_IMAGE": "python:3.12-slim"}},
        {"platform": "linux/arm64"},
        {"parents": {"python": "python:3.12-slim"}},
        {"options": {"compression": "gzip"}},
        {"files": ()},
    ],
    ids=str,
)
def test_whatever_goes_into_an_image_changes_its_tag(root: Path, change: dict[str, object]) -> None:
    files = list_context(root, ALLOW)
    assert tag(files, **change) != tag(files)


def test_a_tag_does_not_depend_on_the_order_of_what_goes_in(root: Path) -> None:
    files = list_context(root, ALLOW)
    assert tag(files[::-1], build_args={"B": "2", "A": "1"}) == tag(files, build_args={"A": "1", "B": "2"})


def test_a_tag_is_the_same_from_one_release_of_slipway_to_the_next() -> None:
    # If this fails, every image of every user is built anew: raise content.SCHEMA and say so.
    file = ContextFile("a.txt", Path("/anywhere"), executable=False, size=1, sha256="0" * 64)
    assert tag([file]) == "ce93aa8fb979ac907e5a"


def test_a_file_is_not_read_again_in_the_same_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list_context(root, ALLOW)
    read = []
    monkeypatch.setattr("hashlib.file_digest", lambda *_: read.append(1))
    assert list_context(root, ALLOW) == first
    assert not read


def test_a_context_over_its_limit_names_its_five_largest_paths() -> None:
    mib = 1024 * 1024
    sizes = {"a": 1, "b": 200, "c": 30, "d": 40, "e": 50, "f": 60}
    files = [ContextFile(path, Path(path), False, size * mib, "") for path, size in sizes.items()]
    with pytest.raises(ContentError) as caught:
        check_size("base", files, 300 * mib)
    message = str(caught.value)
    assert "b (200.0 MiB), f (60.0 MiB), e (50.0 MiB), d (40.0 MiB), c (30.0 MiB):" in message
    assert "a (" not in message
    assert "381.0 MiB, over its limit of 300.0 MiB" in message
    assert "images.contextLimitMib.base" in message


def test_a_context_at_its_limit_is_fine() -> None:
    check_size("base", [ContextFile("a", Path("a"), False, 10, "")], 10)


def test_a_hidden_file_is_seen_only_where_a_pattern_names_it(root: Path) -> None:
    for name in ("app/api/.env", "app/api/.cache/token", "app/api/.npmrc"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("secret")
    assert not [path for path in paths(list_context(root, ALLOW)) if "/." in path]
    named = paths(list_context(root, (*ALLOW, "app/api/.npmrc")))
    assert [path for path in named if "/." in path] == ["app/api/.npmrc"]
