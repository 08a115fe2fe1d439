"""The folder that an image is built from."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.builds.content import ContentError, list_context
from infra.builds.staging import clear, stage, staged
from tests.infra.builds.conftest import ALLOW, paths, tag


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


def test_what_is_built_from_stays_as_it_is_until_then(root: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "staged", list_context(root, ALLOW)
    with staged(files, folder):
        with staged(files, folder):
            pass  # another run of the same files
        (root / "app/api/main.py").write_text("print('hullo')\n")
        for others in (list_context(root, ALLOW), files[:-1]):
            with pytest.raises(ContentError, match=rf"Another run \(.*\) works from {folder} with other files: wait"):
                stage(others, folder)
        assert tag(list_context(folder, ["**"])) == tag(files)
    stage(list_context(root, ALLOW), folder)
    assert (folder / "app/api/main.py").read_text() == "print('hullo')\n"


def test_not_even_a_mode_is_changed_under_another_run(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "staged"
    with staged(list_context(root, ALLOW), folder):
        before = snapshot(folder)
        (root / "app/api/main.py").chmod(0o755)
        with pytest.raises(ContentError, match="Another run"):
            stage(list_context(root, ALLOW), folder)
        assert snapshot(folder) == before


def test_what_nobody_works_from_can_be_cleared_away(root: Path, tmp_path: Path) -> None:
    files = list_context(root, ALLOW)
    stage(files, tmp_path / "dev" / "api")
    with staged(files, tmp_path / "local" / "api"):
        clear(tmp_path)
        assert not (tmp_path / "dev" / "api").exists()
        assert tag(list_context(tmp_path / "local" / "api", ["**"])) == tag(files)


def test_a_run_that_was_killed_holds_nothing(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "staged"
    code = (
        "import sys, time; from pathlib import Path; from infra.builds.staging import staged\n"
        "with staged([], Path(sys.argv[1])):\n    print('staged', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert other.stdout
    other.stdout.readline()
    with pytest.raises(ContentError, match="Another run"):
        stage(list_context(root, ALLOW), folder)
    other.kill()
    other.communicate()
    stage(list_context(root, ALLOW), folder)
