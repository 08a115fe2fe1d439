"""The command line: what it means, and what is refused before anything starts."""

from pathlib import Path
from typing import Any

import click
import pytest

from devcloud.cli import context, main
from devcloud.cli.context import Command, cli
from devcloud.util.console import MachineError, UserError, WrongCallError
from infra.builds.base_version import VersionError
from infra.builds.content import ContentError
from infra.product import ProductError
from infra.settings import SettingsError


def run(monkeypatch: pytest.MonkeyPatch, cache: Path, *arguments: str) -> int:
    monkeypatch.setenv("SLIPWAY_CACHE", str(cache))
    monkeypatch.setattr("sys.argv", ["devcloud", *arguments])
    return main.main()


def test_a_name_that_is_no_clouds_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "status", "--cloud", "Not/A/Name") == 2
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
    assert run(monkeypatch, tmp_path, "up", "--stack", "nowhere") == 2
    assert "STACK='nowhere' has no settings file" in capsys.readouterr().err


def test_an_image_that_the_product_does_not_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "build", "wep") == 2
    assert "IMAGE='wep' is not an image of the product: use one of " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "No such command 'fly'"),
        ([], "Usage: devcloud [OPTIONS] COMMAND"),
        (["status", "--unknown"], "No such option"),
        (["status", "more"], "Got unexpected extra argument (more)"),
        (["build", "web", "api"], "Got unexpected extra argument (api)"),
        (["promote", "--from", "dev"], "Missing option '--to'"),
        (["status", "--cloud"], "Option '--cloud' requires an argument"),
    ],
)
def test_a_wrong_call_ends_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unfit_machine_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(context, "check_machine", lambda *_, **__: ["no disk", "no root"])
    assert run(monkeypatch, tmp_path, "env") == 3
    assert capsys.readouterr().err == "\nno disk\nno root\n"


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (UserError("x"), 1),
        (WrongCallError("x"), 2),
        (MachineError("x"), 3),
        (SettingsError(["x"]), 1),
        (ProductError(["x"]), 1),
        (VersionError("x"), 1),
        (ContentError("x"), 1),
        (ConnectionError("x"), 1),
        (BrokenPipeError(32, "x"), 1),
    ],
)
def test_each_class_of_problem_has_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: Exception, code: int
) -> None:
    def fail() -> None:
        raise problem

    monkeypatch.setattr(cli.commands["status"], "callback", fail)
    assert run(monkeypatch, tmp_path, "status") == code
    assert "x" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.commands["status"], "callback", interrupt)
    assert run(monkeypatch, tmp_path, "status") == 130


def test_a_commands_own_exit_code_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.commands["preview"], "callback", lambda arguments: len(arguments))
    assert run(monkeypatch, tmp_path, "preview") == 0
    assert run(monkeypatch, tmp_path, "preview", "--json", "--diff") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cloud", "test", "--stack", "dev", "up", "--expect-no-changes", "--target", "x", "-v", "3"],
        ["up", "--cloud", "test", "--stack", "dev", "--expect-no-changes", "--target", "x", "-v", "3"],
        ["--cloud", "other", "up", "--expect-no-changes", "--target", "x", "--cloud=test", "-v", "3", "--stack=dev"],
    ],
)
def test_the_cloud_and_the_stack_are_named_before_or_after_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    found: dict[str, Any] = {}

    def record(arguments: tuple[str, ...]) -> None:
        call: Command = click.get_current_context().obj
        found.update(cloud=call.cloud.name, stack=call.stack_name, arguments=arguments)

    monkeypatch.setattr(cli.commands["up"], "callback", record)
    assert run(monkeypatch, tmp_path, *arguments) == 0
    passed_on = ("--expect-no-changes", "--target", "x", "-v", "3")
    assert found == {"cloud": "test", "stack": "dev", "arguments": passed_on}


def test_help_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--help"], ["up", "--help"], ["up", "-h"]):
        assert run(monkeypatch, tmp_path, *arguments) == 0
        assert capsys.readouterr().out.startswith("Usage: devcloud ")
    assert list(tmp_path.iterdir()) == []
