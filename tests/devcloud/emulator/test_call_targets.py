"""A request to AWS in the words of IAM's policies: its action, its resources, and its condition keys."""

import json
import urllib.parse
from typing import Any

import pytest

from devcloud.emulator.call_targets import Scope, asked, call_of
from devcloud.emulator.policies import Call

SCOPE = Scope("123456789012", "us-east-1")
PLACE = "us-east-1:123456789012"
QUEUE = "http://127.0.0.1:4566/123456789012/jobs"


def of_json(service: str, operation: str, **parameters: Any) -> Call:
    """Return the call of a request of AWS's JSON protocols."""
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"Prefix_1.{operation}"}
    request = asked(service, "POST", "/", headers, json.dumps(parameters).encode())
    return call_of(request, SCOPE, {})


def of_query(service: str, **fields: str) -> Call:
    """Return the call of a request of AWS's query protocols."""
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return call_of(asked(service, "POST", "/", headers, urllib.parse.urlencode(fields).encode()), SCOPE, {})


@pytest.mark.parametrize(
    ("call", "action", "resources"),
    [
        (of_json("ssm", "GetParameter", Name="/a/b:3"), "ssm:GetParameter", [f"arn:aws:ssm:{PLACE}:parameter/a/b"]),
        (of_json("ssm", "GetParameter", Name="a"), "ssm:GetParameter", [f"arn:aws:ssm:{PLACE}:parameter/a"]),
        (
            of_json("ssm", "GetParameter", Name=f"arn:aws:ssm:{PLACE}:parameter/a/b:label"),
            "ssm:GetParameter",
            [f"arn:aws:ssm:{PLACE}:parameter/a/b"],
        ),
        (
            of_json("ssm", "GetParameters", Names=["/a", "/b:1"]),
            "ssm:GetParameters",
            [f"arn:aws:ssm:{PLACE}:parameter/a", f"arn:aws:ssm:{PLACE}:parameter/b"],
        ),
        (
            of_json("ssm", "SendCommand", DocumentName="d", InstanceIds=["i-1", "i-2"]),
            "ssm:SendCommand",
            [f"arn:aws:ssm:{PLACE}:document/d", *(f"arn:aws:ec2:{PLACE}:instance/i-{n}" for n in (1, 2))],
        ),
        (of_json("sqs", "SendMessage", QueueUrl=QUEUE), "sqs:SendMessage", [f"arn:aws:sqs:{PLACE}:jobs"]),
        (of_json("sqs", "SendMessageBatch", QueueUrl=QUEUE), "sqs:SendMessage", [f"arn:aws:sqs:{PLACE}:jobs"]),
        (of_json("ecr", "GetAuthorizationToken"), "ecr:GetAuthorizationToken", ["*"]),
        (
            of_json("ecr", "BatchGetImage", repositoryName="a/b"),
            "ecr:BatchGetImage",
            [f"arn:aws:ecr:{PLACE}:repository/a/b"],
        ),
        (
            of_json("logs", "PutLogEvents", logGroupName="/g", logStreamName="s"),
            "logs:PutLogEvents",
            [f"arn:aws:logs:{PLACE}:log-group:/g:log-stream:s"],
        ),
        (
            of_query("sts", Action="AssumeRole", RoleArn="arn:aws:iam::1:role/r"),
            "sts:AssumeRole",
            ["arn:aws:iam::1:role/r"],
        ),
        (
            of_query("ec2", Action="GetConsoleOutput", InstanceId="i-1", Latest="true"),
            "ec2:GetConsoleOutput",
            [f"arn:aws:ec2:{PLACE}:instance/i-1"],
        ),
    ],
)
def test_a_call_concerns_these_resources(call: Call, action: str, resources: list[str]) -> None:
    assert (call.action, list(call.resources or ())) == (action, resources)


@pytest.mark.parametrize(
    "call",
    [
        of_json("dlm", "GetLifecyclePolicies"),
        of_json("ssm", "GetParameter"),
        of_json("ssm", "GetParameters", Names=None),
        of_json("ssm", "SendCommand", DocumentName="d", Targets=[{"Key": "tag:a", "Values": ["b"]}], InstanceIds=[]),
        of_json("sqs", "SendMessage", QueueUrl=7),
        of_query("ec2", Action="GetConsoleOutput"),
    ],
)
def test_resources_that_are_not_known_are_not_guessed(call: Call) -> None:
    assert call.resources is None


def test_metrics_are_judged_by_their_namespace() -> None:
    call = of_query("monitoring", Action="PutMetricData", Namespace="slipway-local")
    assert (call.action, call.context["cloudwatch:namespace"]) == ("cloudwatch:PutMetricData", "slipway-local")


@pytest.mark.parametrize("body", [b"\xff", b"[1]", b"{", b"[" * 100_000])
def test_a_body_that_cannot_be_read_asks_for_nothing_on_any_resource(body: bytes) -> None:
    call = call_of(
        asked("ssm", "POST", "/", {"content-type": JSON, "x-amz-target": "AmazonSSM.GetParameter"}, body), SCOPE, {}
    )
    assert call.resources is None


JSON, FORM = "application/x-amz-json-1.1", "application/x-www-form-urlencoded"
WHO = {"content-type": JSON, "x-amz-target": "X.GetCallerIdentity"}


def test_a_call_is_a_post_to_the_root() -> None:
    assert asked("sts", "POST", "/", WHO, b"{}").operation == "GetCallerIdentity"
    assert asked("sts", "POST", "/", {"content-type": f"{FORM}; charset=utf-8"}, b"Action=A&B=").parameters["B"] == ""


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/", {"content-type": FORM}, b"Action=AssumeRole&Action=GetCallerIdentity"),
        ("/?Action=AssumeRole", {"content-type": FORM}, b"Action=GetCallerIdentity"),
        ("/", {"content-type": FORM, "x-amz-target": "X.GetCallerIdentity"}, b"Action=AssumeRole"),
        ("/?Action=AssumeRole", WHO, b"{}"),
        ("/", {"content-type": "text/plain"}, b"Action=GetCallerIdentity"),
        ("/", {**WHO, "content-type": FORM.title()}, b'"&Action=AssumeRole&"'),
        ("/", {"x-amz-target": "X.GetCallerIdentity"}, b"{}"),
        ("/", WHO, b'"&Action=AssumeRole&"'),
        ("/", {**WHO, "action": "AssumeRole"}, b""),
        ("/_tasks/credentials", WHO, b"{}"),
        ("/moto-api/reset", WHO, b"{}"),
        ("//", WHO, b"{}"),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_asks_for_nothing(
    path: str, headers: dict[str, str], body: bytes
) -> None:
    assert asked("sts", "POST", path, headers, body).operation == ""


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_another_method_asks_for_nothing(method: str) -> None:
    assert asked("sts", method, "/", WHO, b"{}").operation == ""
