"""Who may do what."""

import json
from typing import Any

import pytest

from devcloud.emulator.call_targets import RESOURCES
from devcloud.emulator.policies import Call, Verdict, judge
from infra.lib import iam

ACCOUNT, REGION = "123456789012", "us-east-1"
REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/slipway/worker"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:slipway-dev-jobs"
DEAD = f"{QUEUE}-dead"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/slipway/dev/worker"
DATABASE_URL = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/database-url"

RELEASE = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/release"
VERIFIED = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/dev/verified"
HOST_ROLE = f"arn:aws:iam::{ACCOUNT}:role/slipway-dev-host"
API_ROLE = f"arn:aws:iam::{ACCOUNT}:role/slipway-dev-host-api"

HOST = iam.host_policy(
    region=REGION,
    account_id=ACCOUNT,
    repository_arns=[REPOSITORY],
    release="/slipway/dev/release",
    secrets=["/slipway/dev/database-url"],
    document="slipway-dev-host",
    service_roles=[API_ROLE],
    metric_namespace="slipway-dev",
    log_group_arn=LOGS,
)
EXECUTION = iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=LOGS, parameter_arns=[DATABASE_URL])
TASK = iam.worker_task_policy(queue_arn=QUEUE)


def service(*permissions: str, queue: str | None = QUEUE) -> str:
    """Return the policy of a service with these permissions."""
    return iam.service_policy(
        permissions=permissions, queue_arn=queue, dead_letter_arn=queue and DEAD, verified_arn=VERIFIED
    )


ALL = service("jobs:send", "jobs:count", "jobs:work", "release:read")


def statements(policy: str) -> list[dict[str, Any]]:
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17"
    return list(document["Statement"])


def resources(policy: str, action: str) -> list[str]:
    """What an action is allowed on."""
    return [arn for statement in statements(policy) if action in statement["Action"] for arn in statement["Resource"]]


@pytest.mark.parametrize("policy", [HOST, EXECUTION, TASK, ALL])
def test_no_policy_has_a_wildcard_but_for_what_knows_no_resource(policy: str) -> None:
    for statement in statements(policy):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in statement["Action"])
        if "*" in statement["Resource"]:
            services = {action.partition(":")[0] for action in statement["Action"]}
            agent = services == {"ssm", "ssmmessages", "ec2messages"}
            metrics = statement["Action"] == ["cloudwatch:PutMetricData"] and "Condition" in statement
            assert agent or metrics or statement["Action"] == ["ecr:GetAuthorizationToken"]


def test_the_host_reads_its_release_and_its_services_secrets_and_no_other_parameter() -> None:
    assert resources(HOST, "ssm:GetParameter") == [RELEASE]
    assert resources(HOST, "ssm:GetParameters") == [DATABASE_URL]


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


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        ("jobs:send", {"sqs:GetQueueAttributes": [QUEUE], "sqs:SendMessage": [QUEUE]}),
        ("jobs:count", {"sqs:GetQueueAttributes": [QUEUE, DEAD]}),
        ("release:read", {"ssm:GetParameterHistory": [VERIFIED]}),
    ],
)
def test_a_permission_is_for_its_own_actions_on_what_it_is_for(permission: str, allowed: dict[str, list[str]]) -> None:
    (statement,) = statements(service(permission))
    assert dict.fromkeys(statement["Action"], statement["Resource"]) == allowed


def test_a_service_may_do_what_all_its_permissions_say() -> None:
    assert len(statements(service("jobs:count", "release:read"))) == 2
    assert service("jobs:work") == TASK


def test_a_permission_for_jobs_needs_a_queue() -> None:
    with pytest.raises(ValueError, match="The permission jobs:send needs a queue, but there is none"):
        service("jobs:send", queue=None)
    assert resources(service("release:read", queue=None), "ssm:GetParameterHistory") == [VERIFIED]


def test_a_permission_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="The permission jobs:delete is not known"):
        service("jobs:delete")


def test_the_host_itself_touches_no_queue() -> None:
    assert "sqs:" not in HOST


def test_the_host_assumes_the_roles_of_its_services_and_they_trust_it_alone() -> None:
    assert resources(HOST, "sts:AssumeRole") == [API_ROLE]
    (statement,) = statements(iam.assume_role_by(HOST_ROLE))
    assert (statement["Principal"], statement["Action"]) == ({"AWS": HOST_ROLE}, "sts:AssumeRole")


def test_a_host_without_services_that_use_aws_assumes_no_role_and_reads_no_secret() -> None:
    policy = iam.host_policy(
        region=REGION,
        account_id=ACCOUNT,
        repository_arns=[REPOSITORY],
        release="/slipway/dev/release",
        secrets=[],
        document="slipway-dev-host",
        service_roles=[],
        metric_namespace="slipway-dev",
        log_group_arn=LOGS,
    )
    assert "sts:AssumeRole" not in policy
    assert "ssm:GetParameters" not in policy


def test_the_host_reads_its_own_document_and_no_other() -> None:
    assert resources(HOST, "ssm:GetDocument") == [f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/slipway-dev-host"]


def test_the_host_writes_metrics_of_its_own_namespace() -> None:
    (metrics,) = (statement for statement in statements(HOST) if "cloudwatch:PutMetricData" in statement["Action"])
    assert metrics["Condition"] == {"StringEquals": {"cloudwatch:namespace": "slipway-dev"}}


def test_the_worker_is_started_with_the_secrets_that_it_is_given_and_no_others() -> None:
    assert resources(EXECUTION, "ssm:GetParameters") == [DATABASE_URL]


@pytest.mark.parametrize("policy", [HOST, EXECUTION, TASK, ALL])
def test_no_role_needs_a_key_to_decrypt_what_it_may_read(policy: str) -> None:
    assert "kms:" not in policy


@pytest.mark.parametrize("policy", [HOST, EXECUTION])
def test_images_are_pulled_from_the_products_repositories_and_never_pushed(policy: str) -> None:
    assert resources(policy, "ecr:BatchGetImage") == [REPOSITORY]
    assert "ecr:PutImage" not in policy


@pytest.mark.parametrize("arn", [LOGS, f"{LOGS}:*"])
def test_logs_are_written_to_streams_of_the_one_group(arn: str) -> None:
    policy = iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=arn, parameter_arns=[DATABASE_URL])
    assert resources(policy, "logs:PutLogEvents") == [f"{LOGS}:*"]


def test_a_worker_without_secrets_reads_no_parameter() -> None:
    policy = iam.worker_execution_policy(repository_arn=REPOSITORY, log_group_arn=LOGS, parameter_arns=[])
    assert "ssm:" not in policy


def test_a_role_of_tasks_is_for_the_accounts_own_tasks() -> None:
    (statement,) = statements(iam.assume_role_for_tasks(REGION, ACCOUNT))
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:*"},
    }


def test_the_role_of_snapshots_is_for_the_accounts_own_policies() -> None:
    (statement,) = statements(iam.assume_role_for_snapshots(REGION, ACCOUNT))
    assert statement["Principal"] == {"Service": "dlm.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:dlm:{REGION}:{ACCOUNT}:policy/*"},
    }


VOLUME = f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-{1:017x}"
SNAPSHOT = f"arn:aws:ec2:{REGION}::snapshot/snap-{1:017x}"
SNAPSHOTS = iam.snapshots_policy(region=REGION, account_id=ACCOUNT, tags={"Snapshots": "slipway-dev"})


@pytest.mark.parametrize(
    ("action", "resource", "of", "allowed"),
    [
        ("ec2:CreateSnapshot", VOLUME, "slipway-dev", True),
        ("ec2:CreateSnapshot", SNAPSHOT, None, True),
        ("ec2:CreateSnapshot", VOLUME, "slipway-prod", False),
        ("ec2:CreateSnapshot", VOLUME, None, False),
        ("ec2:CreateTags", SNAPSHOT, None, True),
        ("ec2:CreateTags", VOLUME, None, False),
        ("ec2:DeleteSnapshot", SNAPSHOT, "slipway-dev", True),
        ("ec2:DeleteSnapshot", SNAPSHOT, "slipway-prod", False),
        ("ec2:DeleteSnapshot", SNAPSHOT, None, False),
        ("ec2:DeleteVolume", VOLUME, "slipway-dev", False),
    ],
)
def test_snapshots_are_made_of_the_stacks_volumes_and_only_the_stacks_own_are_deleted(
    action: str, resource: str, of: str | None, allowed: bool
) -> None:
    judgement = judge([SNAPSHOTS], Call(action, (resource,), {"aws:resourcetag/snapshots": of}))
    assert (judgement.verdict is Verdict.ALLOWED) == allowed


@pytest.mark.parametrize("policy", [HOST, EXECUTION, TASK, ALL])
def test_the_emulator_can_judge_each_policy(policy: str) -> None:
    for statement in statements(policy):
        for action in statement["Action"]:
            resource = statement["Resource"][0]
            condition = {"cloudwatch:namespace": "slipway-dev"}
            assert judge([policy], Call(action, (resource,), condition)).verdict is Verdict.ALLOWED
            if resource != "*":
                assert action in RESOURCES, f"devcloud/emulator/call_targets.py does not know the resources of {action}"


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
