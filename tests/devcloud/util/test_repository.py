"""A copy of the repository: what git knows or would take, as it stands, and `shared` beside it."""

import subprocess
from pathlib import Path

import pytest

from devcloud.util.repository import copy_repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a file that is committed and changed since, one that is new, one ignored, one deleted."""
    root = tmp_path / "work" / "ours"
    (root / "app").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    for name, text in (("app/kept.py", "old"), ("gone.py", "old"), (".gitignore", "*.log\n")):
        (root / name).write_text(text)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    (root / "app" / "kept.py").write_text("new")
    (root / "fresh.py").write_text("fresh")
    (root / "run.log").write_text("said")
    (root / "gone.py").unlink()
    monkeypatch.setattr("devcloud.util.repository.ROOT", root)
    return root


def test_the_copy_has_the_files_as_they_stand(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "cloud" / "copy"
    copy_repository(target)
    files = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert files == {"app/kept.py": "new", "fresh.py": "fresh", ".gitignore": "*.log\n"}


def test_nothing_is_left_of_the_copy_before(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "cloud" / "copy"
    target.mkdir(parents=True)
    (target / "old.py").touch()
    copy_repository(target)
    assert not (target / "old.py").exists()


def test_shared_is_beside_the_copy_where_it_is_beside_the_repository(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "cloud" / "copy"
    copy_repository(target)
    assert not (tmp_path / "cloud" / "shared").exists()
    (repository.parent / "shared").mkdir()
    copy_repository(target)
    assert (tmp_path / "cloud" / "shared").resolve() == repository.parent / "shared"
