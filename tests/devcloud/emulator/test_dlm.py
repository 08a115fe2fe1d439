"""Data Lifecycle Manager: policies for snapshots, as AWS takes and keeps them. No server runs: calls are requests."""

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from moto.iam.models import iam_backends

from devcloud.emulator.dlm import BACKENDS, Dlm
from devcloud.emulator.dlm_refusals import problems
from infra.lib import iam

ACCOUNT, REGION = "123456789012", "us-east-1"
DETAILS: dict[str, Any] = {
    "ResourceTypes": ["VOLUME"],
    "TargetTags": [{"Key": "Snapshots", "Value": "slipway-dev"}],
    "Schedules": [
        {
            "Name": "nightly",
            "CreateRule": {"CronExpression": "cron(0 3 * * ? *)"},
            "RetainRule": {"Count": 7},
        }
    ],
}


def call(method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
    """Make a call of Data Lifecycle Manager and return status and answer."""
    said: list[str] = []
    content = json.dumps(body).encode() if body is not None else b""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": urlencode(query),
        "CONTENT_LENGTH": str(len(content)),
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=key/20261128/{REGION}/dlm/aws4_request, Signature=0",
        "wsgi.input": io.BytesIO(content),
    }

    def another_service(*_: object) -> Any:
        raise AssertionError("not a call of Data Lifecycle Manager")

    answer = Dlm(another_service)(environ, lambda status, *_: said.append(status))  # type: ignore[arg-type]
    return int(said[0].split()[0]), json.loads(b"".join(answer))


def make_role(name: str, trust: str) -> str:
    """Make a role of the account and return its ARN."""
    role = iam_backends[ACCOUNT]["aws"].create_role(name, trust, "/", None, "", [], "3600")
    return str(role.arn)


@pytest.fixture(autouse=True)
def role() -> Iterator[str]:
    """Make a role that the account's own policies may take, in an account without policies."""
    BACKENDS.clear()
    yield make_role("snapshots", iam.assume_role_for_snapshots(REGION, ACCOUNT))
    iam_backends[ACCOUNT]["aws"].roles.clear()
    BACKENDS.clear()


def asked(role: str, **changes: Any) -> dict[str, Any]:
    """Return a request for a policy."""
    description = "Nightly snapshots of slipway-dev"
    return {
        "Description": description,
        "ExecutionRoleArn": role,
        "State": "ENABLED",
        "PolicyDetails": DETAILS,
    } | changes


@pytest.fixture
def policy(role: str) -> str:
    """Make a policy and return its id."""
    status, answer = call("POST", "/policies", asked(role, Tags={"Stack": "dev"}))
    assert status == 200
    return str(answer["PolicyId"])


def test_a_policy_is_shown_with_what_aws_fills_in(policy: str, role: str) -> None:
    shown = call("GET", f"/policies/{policy}")[1]["Policy"]
    assert shown["PolicyArn"] == f"arn:aws:dlm:{REGION}:{ACCOUNT}:policy/{policy}"
    assert (shown["State"], shown["ExecutionRoleArn"], shown["Tags"]) == ("ENABLED", role, {"Stack": "dev"})
    assert (
        shown["PolicyDetails"].items()
        >= {"PolicyType": "EBS_SNAPSHOT_MANAGEMENT", "ResourceLocations": ["CLOUD"]}.items()
    )
    (schedule,) = shown["PolicyDetails"]["Schedules"]
    assert schedule["CreateRule"] == {"Location": "CLOUD", "CronExpression": "cron(0 3 * * ? *)"}


def test_policies_are_listed(policy: str) -> None:
    (listed,) = call("GET", "/policies")[1]["Policies"]
    assert (listed["PolicyId"], listed["Description"]) == (policy, "Nightly snapshots of slipway-dev")


def test_a_change_replaces_what_it_names(policy: str) -> None:
    fewer = {**DETAILS["Schedules"][0], "RetainRule": {"Count": 2}}
    assert call("PATCH", f"/policies/{policy}", {"PolicyDetails": {**DETAILS, "Schedules": [fewer]}}) == (200, {})
    shown = call("GET", f"/policies/{policy}")[1]["Policy"]
    assert shown["PolicyDetails"]["Schedules"][0]["RetainRule"] == {"Count": 2}
    assert shown["Description"] == "Nightly snapshots of slipway-dev"


def test_a_change_that_is_refused_changes_nothing(policy: str) -> None:
    status, _ = call(
        "PATCH", f"/policies/{policy}", {"State": "DISABLED", "ExecutionRoleArn": "arn:aws:iam::1:role/no"}
    )
    assert status == 400
    assert call("GET", f"/policies/{policy}")[1]["Policy"]["State"] == "ENABLED"


def test_a_deleted_policy_is_gone(policy: str) -> None:
    assert call("DELETE", f"/policies/{policy}") == (200, {})
    for method in ("GET", "DELETE"):
        status, answer = call(method, f"/policies/{policy}")
        assert (status, answer["Code"]) == (404, "ResourceNotFoundException")
    assert call("GET", "/policies")[1] == {"Policies": []}


def test_tags_come_and_go(policy: str) -> None:
    path = f"/tags/arn:aws:dlm:{REGION}:{ACCOUNT}:policy/{policy}"
    call("POST", path, {"Tags": {"Project": "slipway"}})
    call("DELETE", path, tagKeys="Stack")
    assert call("GET", path) == (200, {"Tags": {"Project": "slipway"}})
    assert call("GET", path.replace(REGION, "eu-west-1"))[0] == 404


def test_each_region_has_its_own(policy: str) -> None:
    assert policy in BACKENDS[ACCOUNT][REGION].policies
    assert not BACKENDS[ACCOUNT]["eu-west-1"].policies


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"Description": "slipway's snapshots"}, "ValidationException", "regular expression"),
        ({"Description": None}, "ValidationException", "'description'"),
        ({"State": "ON"}, "ValidationException", "[ENABLED, DISABLED]"),
        ({"ExecutionRoleArn": "snapshots"}, "ValidationException", "'executionRoleArn'"),
        ({"ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}, "InvalidRequestException", "does not exist"),
        ({"PolicyDetails": None}, "InvalidRequestException", "needs PolicyDetails"),
        ({"PolicyDetails": {**DETAILS, "Schedules": []}}, "ValidationException", "greater than or equal to 1"),
    ],
)
def test_a_policy_that_aws_does_not_take_is_refused(role: str, changes: dict[str, Any], code: str, said: str) -> None:
    status, answer = call("POST", "/policies", asked(role, **changes))
    assert (status, answer["Code"]) == (400, code)
    assert said in answer["Message"]
    assert call("GET", "/policies")[1] == {"Policies": []}


@pytest.mark.parametrize(
    "trust",
    [
        iam.assume_role("ec2.amazonaws.com"),
        iam.assume_role_for_snapshots(REGION, "999999999999"),
        iam.assume_role_for_snapshots("eu-west-1", ACCOUNT),
    ],
)
def test_a_role_that_the_policy_may_not_take_is_refused(trust: str) -> None:
    status, answer = call("POST", "/policies", asked(make_role("other", trust)))
    assert (status, answer["Code"]) == (400, "InvalidRequestException")


def schedule(**changes: Any) -> dict[str, Any]:
    """Return the details of a policy with another schedule."""
    return {**DETAILS, "Schedules": [{**DETAILS["Schedules"][0], **changes}]}


@pytest.mark.parametrize(
    "details",
    [
        DETAILS,
        schedule(CreateRule={"Interval": 24, "IntervalUnit": "HOURS", "Times": ["03:00"]}),
        schedule(RetainRule={"Interval": 7, "IntervalUnit": "DAYS"}),
    ],
)
def test_a_schedule_by_time_or_interval_with_a_count_or_an_age_is_right(details: dict[str, Any]) -> None:
    assert list(problems(details)) == []


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (schedule(CreateRule={}), "either an Interval or a CronExpression"),
        (schedule(CreateRule={"Interval": 5, "IntervalUnit": "HOURS"}), "one of 1, 2, 3"),
        (schedule(CreateRule={"Interval": 24}), "IntervalUnit HOURS"),
        (schedule(CreateRule={"CronExpression": "cron(0 3 * * ?)"}), "six fields"),
        (
            schedule(CreateRule={"CronExpression": "cron(0 3 * * ? *)", "IntervalUnit": "HOURS"}),
            "no IntervalUnit",
        ),
        (schedule(RetainRule={}), "either a Count"),
        (schedule(RetainRule={"Count": 0}), "either a Count"),
        (schedule(RetainRule={"Count": 1, "Interval": 1, "IntervalUnit": "DAYS"}), "either a Count"),
        (schedule(Name=""), "needs a Name"),
        ({**DETAILS, "Schedules": DETAILS["Schedules"] * 2}, "same name"),
        ({**DETAILS, "TargetTags": []}, "needs TargetTags"),
        ({**DETAILS, "TargetTags": [{"Key": "aws:x", "Value": "y"}]}, "AWS's own"),
        ({**DETAILS, "PolicyType": "IMAGE_MANAGEMENT"}, "does not know policies of the type"),
    ],
)
def test_details_that_contradict_each_other_are_refused(details: dict[str, Any], said: str) -> None:
    (problem,) = problems(details)
    assert said in problem
