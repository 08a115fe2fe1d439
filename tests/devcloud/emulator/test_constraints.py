"""Requests are refused by the constraints of AWS's own models, in AWS's words."""

import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from devcloud.emulator import constraints
from devcloud.emulator.constraints import problems_of

from .refusals import refusal


def problems(service: str, operation: str, request: Any) -> list[str]:
    """Return what AWS would say of a request."""
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    return [str(problem) for problem in problems_of(model, json.dumps(request).encode())]


def test_a_request_within_the_constraints_passes() -> None:
    assert (
        problems("ecr", "CreateRepository", {"repositoryName": "slipway/api", "imageTagMutability": "IMMUTABLE"}) == []
    )


def test_a_name_that_the_pattern_does_not_match_whole_is_refused() -> None:
    (problem,) = problems("ecr", "CreateRepository", {"repositoryName": "Slipway/api"})
    assert problem.startswith(
        "Value 'Slipway/api' at 'repositoryName' failed to satisfy constraint: Member must satisfy regular expression "
        "pattern: "
    )


def test_a_word_that_the_service_does_not_know_is_refused() -> None:
    (problem,) = problems("ecr", "CreateRepository", {"repositoryName": "api", "imageTagMutability": "FIXED"})
    assert problem.startswith(
        "Value 'FIXED' at 'imageTagMutability' failed to satisfy constraint: Member must satisfy enum value set: ["
    )
    assert "IMMUTABLE" in problem


def test_a_number_is_within_its_bounds() -> None:
    request = {"logGroupName": "/a", "filterPattern": "", "limit": 10_001}
    (problem,) = problems("logs", "FilterLogEvents", request)
    assert problem == (
        "Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"
    )


def test_a_text_and_a_list_are_as_long_as_they_may_be() -> None:
    assert problems("logs", "CreateLogGroup", {"logGroupName": ""}) == [
        "Value '' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        r"[\.\-_/#A-Za-z0-9]+",
        "Value '' at 'logGroupName' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ]
    (problem,) = problems("ssm", "GetParameters", {"Names": [f"/{number}" for number in range(11)]})
    assert problem.endswith("at 'names' failed to satisfy constraint: Member must have length less than or equal to 10")


def test_an_item_of_a_list_is_named_by_its_number() -> None:
    tags = [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]
    request = {"Name": "/a", "Value": "b", "Type": "String", "Tags": tags}
    found = problems("ssm", "PutParameter", request)
    assert any("at 'tags.2.member.key' failed" in problem for problem in found)


def test_a_member_that_is_required_is_not_left_out() -> None:
    assert problems("ssm", "PutParameter", {"Name": "/a"}) == [
        "Value null at 'value' failed to satisfy constraint: Member must not be null"
    ]


def test_a_secret_is_in_no_message() -> None:
    (problem,) = problems("secretsmanager", "PutSecretValue", {"SecretId": "a", "SecretString": "hush" * 65536})
    assert "hush" not in problem
    assert problem.startswith("Value at 'secretString' failed to satisfy constraint: Member must have length less")


def test_a_value_below_a_secret_one_is_in_no_message() -> None:
    subscribers = [{"SubscriptionType": "EMAIL", "Address": f"person-{number}@example.com"} for number in range(12)]
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
    request = {
        "AccountId": "123456789012",
        "Budget": {"BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST"},
        "NotificationsWithSubscribers": [{"Notification": notification, "Subscribers": subscribers}],
    }
    (problem,) = problems("budgets", "CreateBudget", request)
    assert problem.endswith("failed to satisfy constraint: Member must have length less than or equal to 11")
    assert "example.com" not in problem


def test_a_member_that_takes_more_than_its_model_says_is_exempt() -> None:
    request = {"QueueUrl": "http://localhost/q", "AttributeNames": ["ApproximateReceiveCount"]}
    assert problems("sqs", "ReceiveMessage", request) == []


@pytest.mark.parametrize("body", [b"no JSON", b"[" * 100_000, b"[]", b"null", b""])
def test_a_body_that_is_no_request_is_left_to_the_service(body: bytes) -> None:
    model = botocore.session.get_session().get_service_model("ecs").operation_model("ListClusters")
    assert list(problems_of(model, body)) == []


def test_a_pattern_that_takes_for_ever_lets_the_text_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "PATTERN_SECONDS", 0.05)
    assert constraints._matches("(a|aa)+", "a" * 40 + "b")
    assert not constraints._matches("(a|aa)+", "b")


@pytest.fixture
def unchecked(emulator: Any) -> Callable[[str], Any]:
    """Make clients that send whatever they are given, as Go's SDK does."""
    return lambda service: emulator.client(service, config=Config(parameter_validation=False))


@pytest.mark.cloud
@pytest.mark.parametrize(
    ("service", "operation", "request_", "code", "message"),
    [
        (
            "ecr",
            "create_repository",
            {"repositoryName": "a"},
            "InvalidParameterException",
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or "
            "equal to 2'",
        ),
        (
            "sqs",
            "create_queue",
            {},
            "MissingParameter",
            "The request must contain the parameter QueueName.",
        ),
        (
            "ecs",
            "update_service",
            {"service": "a", "availabilityZoneRebalancing": "ON"},
            "InvalidParameterException",
            "1 validation error detected: Value 'ON' at 'availabilityZoneRebalancing' failed to satisfy constraint: "
            "Member must satisfy enum value set: [ENABLED, DISABLED]",
        ),
        (
            "ssm",
            "put_parameter",
            {"Name": "/a", "Value": "b", "Type": "Secret"},
            "ValidationException",
            "1 validation error detected: Value 'Secret' at 'type' failed to satisfy constraint: Member must satisfy "
            "enum value set: [String, StringList, SecureString]",
        ),
        (
            "logs",
            "create_log_group",
            {"logGroupName": "it's"},
            "InvalidParameterException",
            "1 validation error detected: Value 'it's' at 'logGroupName' failed to satisfy constraint: Member must "
            r"satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+",
        ),
    ],
)
def test_the_emulator_refuses_what_the_model_does_not_allow(
    unchecked: Callable[[str], Any], service: str, operation: str, request_: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(unchecked(service), operation)(**request_)
    assert refusal(caught) == (code, message)


@pytest.mark.cloud
def test_ecr_refuses_a_lifecycle_policy_with_a_prefix_in_two_rules(ecr: Any, repository: str) -> None:
    rules = [
        {
            "rulePriority": priority,
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["release-prod."],
                "countType": "imageCountMoreThan",
                "countNumber": 10,
            },
            "action": {"type": "expire"},
        }
        for priority in (1, 2)
    ]
    with pytest.raises(ClientError) as caught:
        ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=json.dumps({"rules": rules}))
    assert refusal(caught) == (
        "InvalidParameterException",
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation "
        "failure: The set of rules must contain a unique set of tag prefixes'",
    )
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.get_lifecycle_policy(repositoryName=repository)
