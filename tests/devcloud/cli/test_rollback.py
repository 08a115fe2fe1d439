"""`make releases` and `make rollback`: on a cloud on this machine, or with CLOUD=aws in the account of the shell."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from devcloud.cli import main, rollback
from devcloud.cli.context import Command
from devcloud.pulumi.progress import Result
from infra.product import product_of
from infra.settings import load_file
from tests.infra.conftest import ROOT

ACCOUNT = "123456789012"
IMAGES = product_of().images


class Aws:
    """An account that verified some releases: SSM and STS in one."""

    class exceptions:  # noqa: N801  boto3's name
        class ParameterNotFound(Exception):  # noqa: N818  AWS's name
            pass

    def __init__(self, *letters: str) -> None:
        self.values: dict[str, str] = {}
        self.asked: list[str] = []
        self.letters = letters
        self.registry_error = ""

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann"}

    def get_paginator(self, _: str) -> "Aws":
        return self

    def paginate(self, *, Name: str) -> list[dict[str, Any]]:  # noqa: N803  AWS's name
        self.asked.append(Name)
        values = [
            {image: {"digest": f"sha256:{letter * 64}", "contentTag": letter * 20} for image in IMAGES}
            for letter in self.letters
        ]
        return [
            {
                "Parameters": [
                    {
                        "Version": number,
                        "Value": json.dumps({"schema": 1, "images": images}),
                        "LastModifiedDate": datetime(2026, 11, 28, 15, number, tzinfo=UTC),
                    }
                    for number, images in enumerate(values)
                ]
            }
        ]

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        if Name not in self.values:
            raise self.exceptions.ParameterNotFound
        return {"Parameter": {"Value": self.values[Name]}}

    def describe_images(self, *, repositoryName: str, **_: Any) -> None:  # noqa: N803
        self.asked.append(repositoryName)
        if self.registry_error:
            raise ClientError({"Error": {"Code": self.registry_error, "Message": "no"}}, "DescribeImages")

    def put_parameter(self, *, Name: str, Value: str, **_: Any) -> None:  # noqa: N803
        self.values[Name] = Value


class Stack:
    """A stack of a cloud on this machine."""

    def __init__(self) -> None:
        self.ups: list[tuple[str, ...]] = []

    def settings(self) -> Any:
        return load_file(ROOT / "Pulumi.local.yaml", "local")

    def prepare(self) -> None:
        """Find nothing to clear up."""

    def up(self, *arguments: str) -> Result:
        self.ups.append(arguments)
        return Result(changes={"same": 70, "update": 2}, seconds=12)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    """Return an account that verified two releases, behind the cloud as behind the shell."""
    account = Aws("a", "b")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    monkeypatch.setattr(boto3, "client", lambda *_, **__: account)
    return account


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> Stack:
    """Return the stack `local` on a cloud that runs."""
    made = Stack()
    monkeypatch.setattr(Command, "running_services", lambda _: None)
    monkeypatch.setattr(Command, "stack", lambda _: made)
    monkeypatch.setattr("devcloud.cloud.aws.AwsClients.client", lambda *_: aws)
    return made


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["devcloud", *arguments])
    return main.main()


def test_releases_are_answers_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "releases") == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.endswith("serves")
    assert "bbbbbbbbbbbb" in newest
    assert "aaaaaaaaaaaa" in oldest


def test_a_rollback_writes_the_pin_before_it_deploys(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "rollback", "--to", "", "--expect-no-changes") == 0
    (text,) = aws.values.values()
    assert {entry["digest"][-1] for entry in json.loads(text)["images"].values()} == {"a"}
    assert json.loads(text)["by"] == f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert stack.ups == [("--expect-no-changes",)]
    said = capsys.readouterr().err
    assert "Stack local is pinned to the release" in said
    assert "resources  70 unchanged, 2 updated in 12 s" in said
    run(monkeypatch, "releases")
    assert "pinned since" in capsys.readouterr().out.splitlines()[1]


def test_an_unknown_release_is_refused_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "rollback", "--to", "nonsense") == 1
    assert "TO='nonsense' is no verified release of stack local" in capsys.readouterr().err
    assert (aws.values, stack.ups) == ({}, [])


@pytest.mark.parametrize("stack_name", ["dev", "prod"])
def test_a_release_whose_images_are_gone_writes_neither_pin_nor_file(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, capsys: pytest.CaptureFixture[str], stack_name: str
) -> None:
    aws.registry_error = "ImageNotFoundException"
    monkeypatch.setattr(rollback.back, "rewrite_file", lambda *_: pytest.fail("the file was rewritten"))
    assert run(monkeypatch, "rollback", "--cloud", "aws", "--stack", stack_name) == 1
    assert "cannot be gone back to: its image api (sha256:aaaa" in capsys.readouterr().err
    assert aws.values == {}


def test_a_registry_that_is_away_is_said_and_the_rollback_goes_on(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.registry_error = "ServerException"
    assert run(monkeypatch, "rollback") == 0
    assert "The registry does not say whether it has the images" in capsys.readouterr().err
    assert len(stack.ups) == 1


def test_a_stack_in_which_nothing_was_verified_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.letters = ()
    assert run(monkeypatch, "releases") == 1
    assert "Nothing was verified in stack local yet" in capsys.readouterr().err


def test_a_stack_on_aws_is_rolled_back_with_the_shells_credentials_and_pulumi(
    monkeypatch: pytest.MonkeyPatch, aws: Aws
) -> None:
    called: list[list[str]] = []

    class Done:
        returncode = 7

    monkeypatch.setattr(rollback.subprocess, "run", lambda call, **_: called.append(call) or Done())
    assert run(monkeypatch, "rollback", "--cloud", "aws", "--stack", "dev") == 7
    assert aws.asked[0] == "/slipway/dev/verified"
    assert list(aws.values) == ["/slipway/dev/pin"]
    assert called == [["pulumi", "up", "--yes", "--skip-preview", "--stack", "dev"]]


def test_credentials_of_another_account_write_no_pin(
    monkeypatch: pytest.MonkeyPatch, stack: Stack, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(aws, "get_caller_identity", lambda: {"Account": "999999999999", "Arn": "arn"})
    assert run(monkeypatch, "rollback") == 1
    assert "The credentials are of the account 999999999999, but slipway:accountId is" in capsys.readouterr().err
    assert aws.values == {}


def test_a_stack_that_builds_nothing_is_not_deployed_before_the_review(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rollback.back, "rewrite_file", lambda *_: "the file says so")
    assert run(monkeypatch, "rollback", "--cloud", "aws", "--stack", "prod") == 0
    assert "the file says so" in capsys.readouterr().err
    assert aws.values == {}
