"""What an image is made of: listed, hashed and staged alike everywhere."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from infra.lib.content import ContentError, ContextFile, check_size, content_tag, list_context, stage

FILES = {
    "images/api/Dockerfile": "FROM python\n",
    "images/api/start.sh": "#!/bin/sh\n",
    "app/__init__.py": "",
    "app/api/main.py": "print('hello')\n",
    "app/api/routes/labs.py": "LABS = []\n",
    "app/worker/main.py": "print('work')\n",
}
ALLOW = ("images/api/**", "app/__init__.py", "app/api/**")


def checkout(root: Path, umask: int = 0o022) -> Path:
    """A small repository, made under a umask."""
    before = os.umask(umask)
    try:
        for name, text in FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        start = root / "images/api/start.sh"
        start.chmod(start.stat().st_mode | (0o111 & ~umask))
    finally:
        os.umask(before)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path / "repository")


@pytest.fixture
def any_umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def paths(files: Sequence[ContextFile]) -> list[str]:
    return [file.path for file in files]


def tag(of: Sequence[ContextFile], **changes: object) -> str:
    given: dict[str, object] = {
        "image": "api",
        "files": of,
        "build_args": {"PYTHON_IMAGE": "python:3.11-slim"},
        "platform": "linux/amd64",
        "parents": {"python": "python:3.11-slim"},
        "options": {"compression": "zstd"},
    }
    return content_tag(**(given | changes))  # type: ignore[arg-type]


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


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, inode and time of everything in a folder."""
    entries = [folder, *folder.rglob("*")]
    return {
        str(entry.relative_to(folder)): (
            entry.stat().st_mode & 0o7777,
            entry.stat().st_ino,
            entry.stat().st_mtime_ns,
        )
        for entry in entries
    }


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_what_is_staged_has_the_same_modes_under_any_umask(
    root: Path, tmp_path: Path, any_umask: Callable[[int], int], umask: int
) -> None:
    files = list_context(root, ALLOW)
    any_umask(umask)
    stage(files, tmp_path / "staged")
    modes = {name: mode for name, (mode, _, _) in snapshot(tmp_path / "staged").items()}
    assert modes.pop("images/api/start.sh") == 0o755
    assert {mode for name, mode in modes.items() if "." in Path(name).suffix or name.endswith("Dockerfile")} == {0o644}
    assert modes["app"] == modes["app/api/routes"] == modes["."] == 0o755


def test_what_is_staged_is_what_was_listed(root: Path, tmp_path: Path) -> None:
    files = list_context(root, ALLOW)
    stage(files, tmp_path / "staged")
    staged = list_context(tmp_path / "staged", ["**"])
    assert tag(staged) == tag(files)


def test_staging_again_touches_nothing(root: Path, tmp_path: Path) -> None:
    files = list_context(root, ALLOW)
    stage(files, tmp_path / "staged")
    before = snapshot(tmp_path / "staged")
    stage(files, tmp_path / "staged")
    assert snapshot(tmp_path / "staged") == before


def test_staging_rewrites_only_what_differs(root: Path, tmp_path: Path) -> None:
    stage(list_context(root, ALLOW), tmp_path / "staged")
    before = snapshot(tmp_path / "staged")
    (root / "app/api/main.py").write_text("print('hullo')\n")
    stage(list_context(root, ALLOW), tmp_path / "staged")
    after = snapshot(tmp_path / "staged")
    assert (tmp_path / "staged/app/api/main.py").read_text() == "print('hullo')\n"
    unchanged = {"app/api/routes/labs.py", "app/__init__.py", "images/api/Dockerfile", "images/api/start.sh"}
    assert {name for name in before if before[name] == after[name]} >= unchanged


def test_staging_removes_what_no_longer_belongs(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "staged"
    stage(list_context(root, ALLOW), folder)
    (folder / "stray.txt").write_text("x")
    (folder / "old").mkdir()
    (folder / "old/file").write_text("x")
    (folder / "link").symlink_to(root)
    stage(list_context(root, ["app/api/**"]), folder)
    assert paths(list_context(folder, ["**"])) == ["app/api/main.py", "app/api/routes/labs.py"]
    assert not (folder / "images").exists()
    assert (root / "app/worker/main.py").exists(), "a link in the folder must not lead the removal astray"


def test_staging_repairs_what_was_tampered_with(root: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "staged", list_context(root, ALLOW)
    stage(files, folder)
    (folder / "app/api/main.py").write_text("print('HELLO')\n")  # as long as before
    (folder / "images/api/start.sh").chmod(0o600)
    (folder / "app/__init__.py").unlink()
    (folder / "app/__init__.py").mkdir()
    (folder / "images/api/Dockerfile").unlink()
    (folder / "images/api/Dockerfile").symlink_to(root / "app/api/main.py")
    shutil.rmtree(folder / "app/api/routes")
    (folder / "app/api/routes").write_text("not a folder")
    stage(files, folder)
    assert tag(list_context(folder, ["**"])) == tag(files)


def test_a_run_that_dies_half_way_leaves_no_half_written_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = tmp_path / "staged", list_context(root, ALLOW)

    def die(source: object, target: object, size: int) -> None:
        target.write(b"half")  # type: ignore[attr-defined]
        # As after `kill -9`: nothing is cleaned up.
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", die)
        with pytest.raises(KeyboardInterrupt):
            stage(files, folder)
    monkeypatch.undo()
    assert not (folder / "app/__init__.py").exists()
    assert any(path.name.startswith(".staging-") for path in folder.iterdir())
    stage(files, folder)
    assert tag(list_context(folder, ["**"])) == tag(files)


def test_a_file_that_changes_between_listing_and_staging_is_not_built(root: Path, tmp_path: Path) -> None:
    files = list_context(root, ALLOW)
    (root / "app/api/main.py").write_text("print('hullo')\n")
    with pytest.raises(ContentError, match=r'"app/api/main.py" changed while its image was being prepared'):
        stage(files, tmp_path / "staged")
    assert not (tmp_path / "staged/app/api/main.py").exists()


def test_a_hidden_file_is_seen_only_where_a_pattern_names_it(root: Path) -> None:
    for name in ("app/api/.env", "app/api/.cache/token", "app/api/.npmrc"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("secret")
    assert not [path for path in paths(list_context(root, ALLOW)) if "/." in path]
    named = paths(list_context(root, (*ALLOW, "app/api/.npmrc")))
    assert [path for path in named if "/." in path] == ["app/api/.npmrc"]
