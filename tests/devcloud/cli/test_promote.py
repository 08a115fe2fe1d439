"""`make promote`: from a cloud on this machine, or with CLOUD=aws from the account of the shell."""

import json
from pathlib import Path
from typing import Any

import pytest

from devcloud.cli import deploy, live, main
from devcloud.cli.context import Command
from infra.outputs import StackOutputs
from infra.releases.release import ReleaseError
from tests.outputs import outputs_of

OUTPUTS = outputs_of(region="eu-west-1")
Promoted = list[tuple[str, str, StackOutputs, Any, Any]]


@pytest.fixture
def promoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Promoted:
    """Record what is promoted."""
    calls: Promoted = []

    def promote(*arguments: Any) -> str:
        calls.append(arguments)
        return "done"

    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    monkeypatch.setattr(deploy.promotion, "promote", promote)
    return calls


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["devcloud", "promote", *arguments])
    return main.main()


def test_a_stack_of_a_cloud_is_promoted_in_the_emulator(monkeypatch: pytest.MonkeyPatch, promoted: Promoted) -> None:
    class Stack:
        def outputs(self) -> StackOutputs:
            return OUTPUTS

    monkeypatch.setattr(Command, "stack", lambda _, name: Stack() if name == "dev" else None)
    monkeypatch.setattr(Command, "running_services", lambda _: None)
    assert run(monkeypatch, "--from", "dev", "--to", "prod", "--cloud", "test") == 0
    ((source, target, outputs, ssm, ecr),) = promoted
    assert (source, target, outputs) == ("dev", "prod", OUTPUTS)
    assert ecr.meta.endpoint_url.startswith("http://127.0.0.1:")
    assert ecr.meta.region_name == ssm.meta.region_name == "eu-west-1"


def test_a_stack_on_aws_is_promoted_by_the_shells_account(monkeypatch: pytest.MonkeyPatch, promoted: Promoted) -> None:
    exported = json.dumps(OUTPUTS.model_dump(mode="json", by_alias=True))
    called: list[list[str]] = []

    def output(arguments: list[str], **_: Any) -> str:
        called.append(arguments)
        return exported

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(live, "output", output)
    assert run(monkeypatch, "--from", "dev", "--to", "prod", "--cloud", "aws") == 0
    assert called == [["pulumi", "stack", "output", "--json", "--stack", "dev", "--non-interactive"]]
    ((_, _, outputs, ssm, ecr),) = promoted
    assert outputs == OUTPUTS
    assert ecr.meta.endpoint_url == "https://api.ecr.eu-west-1.amazonaws.com"
    assert ssm.meta.endpoint_url == "https://ssm.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("target", "message"),
    [("dev", "FROM and TO are both 'dev'"), ("prdo", "TO='prdo' has no settings file: write Pulumi.prdo.yaml")],
)
def test_a_wrong_stack_is_a_wrong_call(
    monkeypatch: pytest.MonkeyPatch,
    promoted: Promoted,
    capsys: pytest.CaptureFixture[str],
    target: str,
    message: str,
) -> None:
    assert run(monkeypatch, "--from", "dev", "--to", target) == 2
    assert message in capsys.readouterr().err
    assert promoted == []


def test_a_refused_promotion_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object) -> str:
        raise ReleaseError("api@sha256:0 is not in the registry")

    monkeypatch.setattr(deploy.promotion, "promote", refuse)
    monkeypatch.setattr(live, "output", lambda *_, **__: json.dumps(OUTPUTS.model_dump(mode="json", by_alias=True)))
    assert run(monkeypatch, "--from", "dev", "--to", "prod", "--cloud", "aws") == 1
    assert capsys.readouterr().err == "\napi@sha256:0 is not in the registry\n"


def test_outputs_of_another_version_are_not_promoted(
    monkeypatch: pytest.MonkeyPatch, promoted: Promoted, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "output", lambda *_, **__: "{}")
    assert run(monkeypatch, "--from", "dev", "--to", "prod", "--cloud", "aws") == 1
    assert "Stack dev does not export what this version of the program does" in capsys.readouterr().err
    assert promoted == []
