"""Who may do what."""

import json
from typing import Any

import pytest

from infra.lib import iam

ACCOUNT, REGION = "123456789012", "us-east-1"
REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/slipway/worker"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:slipway-dev-jobs"
DEAD = f"{QUEUE}-dead"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/slipway/dev/worker"
DATABASE_URL = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/database-url"

HOST = iam.host_policy(
    region=REGION,
    account_id=ACCOUNT,
    repository_arns=[REPOSITORY],
    parameter_path="/slipway/dev",
    send_to=[QUEUE],
    count=[QUEUE, DEAD],
    log_group_arn=LOGS,
)
EXECUTION = iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=LOGS, parameter_arns=[DATABASE_URL])
TASK = iam.worker_task_policy(queue_arn=QUEUE)


def statements(policy: str) -> list[dict[str, Any]]:
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17"
    return list(document["Statement"])


def resources(policy: str, action: str) -> list[str]:
    """What an action is allowed on."""
    return [arn for statement in statements(policy) if action in statement["Action"] for arn in statement["Resource"]]


@pytest.mark.parametrize("policy", [HOST, EXECUTION, TASK])
def test_no_policy_has_a_wildcard_but_for_what_knows_no_resource(policy: str) -> None:
    for statement in statements(policy):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in statement["Action"])
        if "*" in statement["Resource"]:
            services = {action.partition(":")[0] for action in statement["Action"]}
            agent = services == {"ssm", "ssmmessages", "ec2messages"}
            assert agent or statement["Action"] == ["ecr:GetAuthorizationToken"]


def test_the_host_reads_the_parameters_of_its_own_stack_and_no_other() -> None:
    for action in ("ssm:GetParameter", "ssm:GetParameters"):
        assert resources(HOST, action) == [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/*"]


def test_the_hosts_agent_takes_commands() -> None:
    for action in ("ssm:UpdateInstanceInformation", "ssmmessages:OpenControlChannel", "ec2messages:GetMessages"):
        assert resources(HOST, action) == ["*"]


def test_the_worker_can_only_look_at_take_hold_and_delete_messages_of_its_queue() -> None:
    assert statements(TASK) == [
        {
            "Effect": "Allow",
            "Action": [
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ],
            "Resource": [QUEUE],
        }
    ]


def test_the_host_can_send_to_the_queue_and_not_read_it() -> None:
    assert resources(HOST, "sqs:SendMessage") == [QUEUE]
    assert not resources(HOST, "sqs:ReceiveMessage")


def test_the_host_counts_what_waits_in_both_queues() -> None:
    assert resources(HOST, "sqs:GetQueueAttributes") == [QUEUE, DEAD]


def test_the_host_reads_the_parameters_of_its_own_stack_only() -> None:
    assert resources(HOST, "ssm:GetParameter") == [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/*"]


def test_the_worker_is_started_with_the_secrets_that_it_is_given_and_no_others() -> None:
    assert resources(EXECUTION, "ssm:GetParameters") == [DATABASE_URL]


@pytest.mark.parametrize(
    ("policy", "parameters"),
    [(HOST, [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/*"]), (EXECUTION, [DATABASE_URL])],
)
def test_keys_decrypt_only_these_parameters_and_only_through_ssm(policy: str, parameters: list[str]) -> None:
    (decrypt,) = (statement for statement in statements(policy) if "kms:Decrypt" in statement["Action"])
    assert decrypt["Condition"] == {
        "StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:PARAMETER_ARN": parameters},
    }


@pytest.mark.parametrize("policy", [HOST, EXECUTION])
def test_images_are_pulled_from_the_products_repositories_and_never_pushed(policy: str) -> None:
    assert resources(policy, "ecr:BatchGetImage") == [REPOSITORY]
    assert "ecr:PutImage" not in policy


@pytest.mark.parametrize("arn", [LOGS, f"{LOGS}:*"])
def test_logs_are_written_to_streams_of_the_one_group(arn: str) -> None:
    policy = iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=arn, parameter_arns=[DATABASE_URL])
    assert resources(policy, "logs:PutLogEvents") == [f"{LOGS}:*"]


@pytest.mark.parametrize("arns", [[], [DATABASE_URL, DATABASE_URL.replace(REGION, "eu-west-1")]])
def test_secrets_from_two_places_or_none_are_refused(arns: list[str]) -> None:
    with pytest.raises(ValueError, match="must be parameters of one region and account"):
        iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=LOGS, parameter_arns=arns)


def test_the_same_rights_are_the_same_string() -> None:
    other = DATABASE_URL.replace("database", "redis")
    one, two = (
        iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=LOGS, parameter_arns=arns)
        for arns in ([DATABASE_URL, other], [other, DATABASE_URL])
    )
    assert one == two


def test_a_role_trusts_one_service() -> None:
    (statement,) = statements(iam.assume_role("ecs-tasks.amazonaws.com"))
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
