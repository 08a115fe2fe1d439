"""A stack that is up, as a person asks it: its host, its worker and its queue."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from infra.releases.live import LiveError, LiveStack, Snapshots, Worker, WrongServiceError
from infra.releases.release import Release, render
from tests.outputs import outputs_of

RELEASE = render(Release("slipway-local-host", "3", "a" * 16, {"api": f"127.0.0.1:5000/slipway/api@sha256:{'a' * 64}"}))
WORKER = {
    "cluster": "slipway-local",
    "service": "worker",
    "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/worker:1",
    "queueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    "deadLetterQueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/dead",
    "selfTest": [],
}


@pytest.fixture
def ssm() -> Any:
    """Return a client of SSM without a network."""
    return boto3.client("ssm", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def stack_of(client: Any) -> LiveStack:
    return LiveStack("local", outputs_of(), lambda _: client)


def answers(stubber: Stubber, command: str, argument: Mapping[str, object], **invocation: Any) -> None:
    """Have SSM answer one command of the host."""
    given = base64.b64encode(json.dumps(argument, sort_keys=True, separators=(",", ":")).encode()).decode()
    stubber.add_response("get_parameter", {"Parameter": {"Value": RELEASE}}, {"Name": "/slipway/local/release"})
    stubber.add_response(
        "send_command",
        {"Command": {"CommandId": "0" * 36}},
        {
            "InstanceIds": ["i-1"],
            "DocumentName": "slipway-local-host",
            "DocumentVersion": "3",
            "Parameters": {"Command": [command], "Argument": [given]},
            "TimeoutSeconds": ANY,
            "Comment": ANY,
        },
    )
    stubber.add_response("get_command_invocation", {"Status": "Success", **invocation}, None)


def test_the_program_of_the_current_release_is_asked(ssm: Any) -> None:
    with Stubber(ssm) as stubber:
        answers(stubber, "status", {}, StandardOutputContent='{"release": "0123456789ab"}')
        assert stack_of(ssm).status() == {"release": "0123456789ab"}
        answers(stubber, "logs", {"lines": 20, "service": "api"}, StandardOutputContent='{"log": "started"}')
        assert stack_of(ssm).logs("api", 20) == "started"
        answers(stubber, "restart", {"service": "api"}, StandardOutputContent='{"state": "restarted"}')
        stack_of(ssm).restart("api")
        stubber.assert_no_pending_responses()


def test_a_restore_is_waited_for_and_its_error_is_told(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.releases.live.time.sleep", lambda _: None)

    def told(under_way: bool, **last: Any) -> str:
        entry = {"work": "restore", "dump": "20270115T080000Z", "at": 5.5, "error": "", **last}
        return json.dumps({"dumps": {}, "now": 6, "underWay": under_way, "last": entry})

    def run(stubber: Stubber, *reports: str) -> str:
        answers(stubber, "restore", {"dump": ""}, StandardOutputContent='{"state": "started", "at": 5.0}')
        for report in reports:
            answers(stubber, "backups", {}, StandardOutputContent=report)
        return stack_of(ssm).restore("")

    with Stubber(ssm) as stubber:
        assert run(stubber, told(True, at=4.0), told(True, work="backup"), told(False)) == "20270115T080000Z"
        with pytest.raises(LiveError, match="The restore of 20270115T080000Z failed on the host: It broke"):
            run(stubber, told(False, error="It broke."))
        with pytest.raises(LiveError, match="ended without a result"):
            run(stubber, told(False, at=4.0))
        stubber.assert_no_pending_responses()


def test_a_service_that_is_none_is_refused_before_the_host_is_asked(ssm: Any) -> None:
    with Stubber(ssm) as stubber:
        stubber.add_response("get_parameter", {"Parameter": {"Value": RELEASE}}, None)
        with pytest.raises(WrongServiceError) as refused:
            stack_of(ssm).logs("aip", 20)
    assert str(refused.value) == 'SERVICE="aip" is not a service of stack local: use one of api.'
    assert refused.value.exit_code == 2


def test_a_host_that_is_silent_is_one_sentence(ssm: Any) -> None:
    with Stubber(ssm) as stubber:
        stubber.add_response("get_parameter", {"Parameter": {"Value": RELEASE}}, None)
        stubber.add_client_error("send_command", "InvalidInstanceId")
        with pytest.raises(LiveError) as silent:
            stack_of(ssm).status()
    assert str(silent.value) == (
        "The host of stack local does not answer: The agent on i-1 takes no commands. It may be starting: try again in "
        "a minute; docs/runbook.md has what to do if it stays silent."
    )


def test_a_refusal_of_the_host_is_passed_on(ssm: Any) -> None:
    with Stubber(ssm) as stubber:
        refusal = '{"error": "api was not restarted, because a release is under way: try again after it."}'
        answers(stubber, "restart", {"service": "api"}, Status="Failed", StandardOutputContent=refusal)
        with pytest.raises(LiveError, match=r"^api was not restarted, because a release is under way"):
            stack_of(ssm).restart("api")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ParameterNotFound", "Stack local has no release yet: bring it up first."),
        (
            "ExpiredTokenException",
            "AWS did not answer for stack local .*ExpiredTokenException.*: check the credentials",
        ),
    ],
)
def test_a_stack_that_cannot_be_asked_is_one_sentence(ssm: Any, error: str, message: str) -> None:
    with Stubber(ssm) as stubber:
        stubber.add_client_error("get_parameter", error)
        with pytest.raises(LiveError, match=message):
            stack_of(ssm).status()


POLICY = "policy-0123456789abcdef0"


def snapshots_of(state: str, *, message: str | None = None) -> Snapshots | None:
    """Return the snapshots of a stack whose policy is in a state."""
    key = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    clients = {service: boto3.client(service, **key) for service in ("dlm", "ec2")}  # type: ignore[call-overload]
    details = {"TargetTags": [{"Key": "Snapshots", "Value": "slipway-local"}]}
    policy = {"State": state, "PolicyDetails": details, **({"StatusMessage": message} if message else {})}
    made = [{"SnapshotId": f"snap-{day}", "StartTime": datetime(2026, 11, day, tzinfo=UTC)} for day in (1, 2)]
    filters = [{"Name": "tag:Snapshots", "Values": ["slipway-local"]}]
    with Stubber(clients["dlm"]) as dlm, Stubber(clients["ec2"]) as ec2:
        dlm.add_response("get_lifecycle_policy", {"Policy": policy}, {"PolicyId": POLICY})
        ec2.add_response("describe_snapshots", {"Snapshots": made}, {"OwnerIds": ["self"], "Filters": filters})
        return LiveStack("local", outputs_of(snapshotPolicy=POLICY), clients.__getitem__).snapshots()


def test_snapshots_are_those_with_the_tag_of_the_policy_the_newest_first() -> None:
    found = snapshots_of("ENABLED", message="old news")
    assert found is not None
    assert found.problem == ""
    assert [each["SnapshotId"] for each in found.made] == ["snap-2", "snap-1"]


@pytest.mark.parametrize(("message", "problem"), [("no rights", "no rights"), (None, "AWS gives no reason")])
def test_a_policy_that_aws_cannot_work_by_is_a_problem(message: str | None, problem: str) -> None:
    found = snapshots_of("ERROR", message=message)
    assert found is not None
    assert found.problem == problem


def test_a_stack_without_a_policy_has_no_snapshots(ssm: Any) -> None:
    assert stack_of(ssm).snapshots() is None


class Aws:
    """Counts of ECS and SQS."""

    def describe_services(self, *, cluster: str, services: list[str]) -> dict[str, Any]:
        assert (cluster, services) == ("slipway-local", ["worker"])
        return {"services": [{"desiredCount": 2, "runningCount": 1}]}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803  boto3's
        numbers = {"jobs": ("7", "1"), "dead": ("3", "0")}[QueueUrl.rpartition("/")[2]]
        return {"Attributes": dict(zip(AttributeNames, numbers, strict=True))}


def test_the_worker_and_its_queue_are_counted() -> None:
    stack = LiveStack("local", outputs_of(worker=WORKER), lambda _: Aws())
    assert stack.worker() == Worker(desired=2, running=1, waiting=7, taken=1, dead=3)
    assert stack_of(Aws()).worker() is None


def test_a_queue_that_is_away_is_one_sentence() -> None:
    def away(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://ecs")

    client: Callable[[str], Any] = lambda _: type("Away", (), {"describe_services": staticmethod(away)})  # noqa: E731
    with pytest.raises(LiveError, match="AWS did not answer for stack local"):
        LiveStack("local", outputs_of(worker=WORKER), client).worker()
