"""The command line: what is refused before anything starts."""

from pathlib import Path

import pytest

from devcloud.cli import main
from devcloud.cli.context import only_argument
from devcloud.util.console import UserError


def run(monkeypatch: pytest.MonkeyPatch, cache: Path, *arguments: str) -> int:
    monkeypatch.setenv("SLIPWAY_CACHE", str(cache))
    monkeypatch.setattr("sys.argv", ["devcloud", *arguments])
    return main.main()


def test_a_name_that_is_no_clouds_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "status", "--cloud", "Not/A/Name") == 1
    assert capsys.readouterr().err.startswith("\nCLOUD='Not/A/Name' is not a name for a cloud: ")
    assert list(tmp_path.iterdir()) == []


def test_a_cloud_that_does_not_run_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "status", "--cloud", "none") == 1
    assert run(monkeypatch, tmp_path, "down", "--cloud", "none") == 0
    assert "cloud none is not running" in capsys.readouterr().err


def test_a_stack_without_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "up", "--stack", "nowhere") == 1
    assert "STACK='nowhere' has no settings file" in capsys.readouterr().err


def test_an_unknown_command_is_a_wrong_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path, "fly")


def test_an_argument_is_given_once_or_has_its_default() -> None:
    assert only_argument([], "IMAGE", "api") == "api"
    assert only_argument(["web"], "IMAGE", "api") == "web"
    with pytest.raises(UserError, match="IMAGE takes one name, not 2: web api"):
        only_argument(["web", "api"], "IMAGE", "api")
