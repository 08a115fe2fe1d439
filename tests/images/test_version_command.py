"""The base's version is what images/base holds; the command that starts the next one."""

import shutil
from pathlib import Path

import pytest

from images import base_version as command
from images.lock import ROOT
from infra.builds import base_version


def test_the_base_is_what_its_version_says() -> None:
    assert base_version.problem(ROOT) is None


def test_the_check_says_what_is_wrong_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images" / "base"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "product.yaml", tmp_path)
    (folder / "VERSION").write_text("1.0.0\n")
    (folder / "CHANGELOG.md").write_text("# Changelog\n")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main(["--check"]) == 1
    assert "has no entry for 1.0.0" in capsys.readouterr().err
    assert command.main(["1.0.0", "the first"]) == 0
    assert command.main(["--check"]) == 0
    assert command.main(["1.0.0", "again"]) == 1
    assert capsys.readouterr().err.startswith("VERSION=1.0.0 does not come after 1.0.0")


def test_without_its_two_arguments_the_command_says_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2
    assert 'make base-version VERSION=1.2.0 CHANGE="what changed"' in capsys.readouterr().err
