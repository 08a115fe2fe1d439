"""One command of the host's program through RunCommand: its report, or one sentence."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from infra.releases.run_command import Host, HostAwayError, RunCommandError

INSTANCE = "i-0123456789abcdef0"
COMMAND = "11111111-2222-3333-4444-555555555555"


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def ssm() -> Any:
    return boto3.client("ssm", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def answers(ssm: Any) -> Iterator[Stubber]:
    with Stubber(ssm) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def host(ssm: Any) -> Host:
    clock = Clock()
    return Host(ssm, INSTANCE, "slipway-test-host", clock=clock.read, sleep=clock.sleep)


def send(answers: Stubber, argument: str = "") -> None:
    answers.add_response(
        "send_command",
        {"Command": {"CommandId": COMMAND}},
        {
            "InstanceIds": [INSTANCE],
            "DocumentName": "slipway-test-host",
            "DocumentVersion": "7",
            "Parameters": {"Command": ["status"], "Argument": [base64.b64encode(argument.encode()).decode()]},
            "TimeoutSeconds": 30,
            "Comment": "slipway status",
        },
    )


def invocation(
    answers: Stubber, status: str, *, out: str = "", err: str = "", details: str = "", code: int = 0
) -> None:
    answers.add_response(
        "get_command_invocation",
        {
            "Status": status,
            "StatusDetails": details or status,
            "StandardOutputContent": out,
            "StandardErrorContent": err,
            "ResponseCode": code,
        },
        {"CommandId": COMMAND, "InstanceId": INSTANCE},
    )


def test_the_report_is_what_the_program_printed(answers: Stubber, host: Host) -> None:
    send(answers, "what is asked")
    answers.add_client_error("get_command_invocation", "InvocationDoesNotExist")
    invocation(answers, "InProgress")
    invocation(answers, "Success", out=json.dumps({"state": "serving"}))
    assert host.ask("7", "status", "what is asked") == {"state": "serving"}


def test_a_host_without_its_agent_is_away(answers: Stubber, host: Host) -> None:
    answers.add_client_error("send_command", "InvalidInstanceId")
    with pytest.raises(HostAwayError, match="takes no commands"):
        host.ask("7", "status")


def test_a_command_that_was_never_taken_is_away(answers: Stubber, host: Host) -> None:
    send(answers)
    invocation(answers, "TimedOut", details="DeliveryTimedOut")
    with pytest.raises(HostAwayError, match="DeliveryTimedOut"):
        host.ask("7", "status")


def test_a_command_that_never_ends_is_away(answers: Stubber, host: Host) -> None:
    send(answers)
    for _ in range(180):
        invocation(answers, "InProgress")
    with pytest.raises(HostAwayError, match="within 90 s"):
        host.ask("7", "status")


def test_a_refusal_of_aws_is_an_error_that_asking_again_does_not_mend(answers: Stubber, host: Host) -> None:
    answers.add_client_error("send_command", "AccessDeniedException", "not authorized to perform: ssm:SendCommand")
    with pytest.raises(
        RunCommandError, match="AWS refused SendCommand: AccessDeniedException: not authorized"
    ) as caught:
        host.ask("7", "status")
    assert not isinstance(caught.value, HostAwayError)


@pytest.mark.parametrize("printed", ["", "no JSON", "[1]"])
def test_a_program_without_a_report_is_named(answers: Stubber, host: Host, printed: str) -> None:
    send(answers)
    invocation(answers, "Success", out=printed)
    with pytest.raises(RunCommandError, match="printed no report"):
        host.ask("7", "status")


def test_a_program_that_failed_says_how(answers: Stubber, host: Host) -> None:
    send(answers)
    invocation(answers, "Failed", err="first line\nOSError: no space left\n", code=1)
    with pytest.raises(RunCommandError, match="ended as Failed, exit code 1: OSError: no space left"):
        host.ask("7", "status")


@pytest.mark.parametrize(("status", "online"), [("Online", True), ("ConnectionLost", False), (None, False)])
def test_online_is_what_the_agent_says(answers: Stubber, host: Host, status: str | None, online: bool) -> None:
    known = [{"InstanceId": INSTANCE, "PingStatus": status}] if status else []
    answers.add_response(
        "describe_instance_information",
        {"InstanceInformationList": known},
        {"Filters": [{"Key": "InstanceIds", "Values": [INSTANCE]}]},
    )
    assert host.is_online() is online


def test_the_programs_own_sentence_is_the_error(answers: Stubber, host: Host) -> None:
    send(answers)
    out = json.dumps({"error": "The release names no service."})
    invocation(answers, "Failed", out=out, err="failed to run commands: exit status 1", code=1)
    with pytest.raises(RunCommandError, match=r"^The release names no service\.$"):
        host.ask("7", "status")


def test_the_agents_own_line_does_not_hide_the_programs(answers: Stubber, host: Host) -> None:
    send(answers)
    invocation(answers, "Failed", err="OSError: no space left\nfailed to run commands: exit status 1", code=1)
    with pytest.raises(RunCommandError, match="exit code 1: OSError: no space left"):
        host.ask("7", "status")


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("SomethingNew", 503)])
def test_a_refusal_that_passes_is_away(answers: Stubber, host: Host, code: str, status: int) -> None:
    answers.add_client_error("send_command", code, http_status_code=status)
    with pytest.raises(HostAwayError, match=code):
        host.ask("7", "status")
    answers.add_client_error("describe_instance_information", code, http_status_code=status)
    assert not host.is_online()


def test_aws_out_of_reach_is_away() -> None:
    class Unreachable:
        def send_command(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    with pytest.raises(HostAwayError, match="did not answer SendCommand"):
        Host(Unreachable(), INSTANCE, "slipway-test-host").ask("7", "status")
