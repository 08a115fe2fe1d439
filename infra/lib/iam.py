"""IAM policy documents: each allows no more than one part of the product needs.

All are canonical JSON, so that the same rights are the same string.

None has `kms:Decrypt`: the parameters are encrypted with the key that AWS manages for SSM, whose own policy lets those
decrypt who may read the parameter. A key of one's own would need it
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from infra.lib.canonical_json import canonical_json


def _document(*statements: dict[str, Any]) -> str:
    return canonical_json({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(actions: Sequence[str], resources: Sequence[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources), **more}


def _pull(repository_arns: Sequence[str]) -> tuple[dict[str, Any], ...]:
    return (
        # A token is for the whole registry: ECR knows no resource for it.
        _allow(["ecr:GetAuthorizationToken"], ["*"]),
        _allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            repository_arns,
        ),
    )


def _write_logs(log_group_arn: str) -> dict[str, Any]:
    # Streams, which are what is written to, stand below the group. Some of AWS's answers end in `:*` already.
    return _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group_arn.removesuffix(':*')}:*"])


def _work(queue_arn: str) -> dict[str, Any]:
    """Return the statement to take messages off a queue, hold them longer and delete them."""
    return _allow(
        ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        [queue_arn],
    )


def _ssm_agent() -> dict[str, Any]:
    """Return the SSM agent's rights for RunCommand and sessions, which replace SSH.

    AWS's own AmazonSSMManagedInstanceCore has all of this, and besides the right to read every parameter of the
    account, the secrets of other stacks among them. None of these actions knows a resource.
    """
    return _allow(
        [
            *("ssm:UpdateInstanceInformation", "ssm:ListInstanceAssociations", "ssm:DescribeDocument"),
            *("ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel"),
            *("ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"),
            *("ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage"),
            *("ec2messages:GetEndpoint", "ec2messages:GetMessages", "ec2messages:SendReply"),
        ],
        ["*"],
    )


def assume_role(service: str) -> str:
    """Return the trust policy of a role for an AWS service, such as `ecs-tasks.amazonaws.com`."""
    return _document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def assume_role_for_tasks(region: str, account_id: str) -> str:
    """Return the trust policy of a role that the account's own ECS tasks take.

    Without the conditions ECS could be made to hand the role to a task of another account (the confused deputy).
    """
    return _assume_role_for_own("ecs-tasks.amazonaws.com", account_id, f"arn:aws:ecs:{region}:{account_id}:*")


def assume_role_for_snapshots(region: str, account_id: str) -> str:
    """Return the trust policy of a role that the account's own policies of Data Lifecycle Manager take."""
    return _assume_role_for_own("dlm.amazonaws.com", account_id, f"arn:aws:dlm:{region}:{account_id}:policy/*")


def _assume_role_for_own(service: str, account_id: str, source: str) -> str:
    """Return the trust policy of a role that a service takes for the account's own resources, whose ARN is `source`."""
    conditions = {"StringEquals": {"aws:SourceAccount": account_id}, "ArnLike": {"aws:SourceArn": source}}
    principal = {"Service": service}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": conditions}
    return _document(statement)


def parameter_arn(region: str, account_id: str, name: str) -> str:
    """Return the ARN of an SSM parameter, whose name begins with a slash."""
    return f"arn:aws:ssm:{region}:{account_id}:parameter{name}"


def assume_role_by(role_arn: str) -> str:
    """Return the trust policy of a role that one other role may assume, and nobody else."""
    return _document({"Effect": "Allow", "Principal": {"AWS": role_arn}, "Action": "sts:AssumeRole"})


def service_policy(
    *, permissions: Collection[str], queue_arn: str | None, dead_letter_arn: str | None, verified_arn: str
) -> str:
    """Return the policy of a service of the host, given its permissions in product.yaml.

    Raises ValueError for a permission that is not known, or that needs a queue where there is none.
    """
    statements = []
    for permission in sorted(permissions):
        if permission == "release:read":
            statements.append(_allow(["ssm:GetParameterHistory"], [verified_arn]))
            continue
        if queue_arn is None or dead_letter_arn is None:
            raise ValueError(f"The permission {permission} needs a queue, but there is none.")
        match permission:
            case "jobs:send":
                # Whoever sends asks whether the queue is there, and how long it keeps what it was sent.
                statements.append(_allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], [queue_arn]))
            case "jobs:count":
                statements.append(_allow(["sqs:GetQueueAttributes"], [queue_arn, dead_letter_arn]))
            case "jobs:work":
                statements.append(_work(queue_arn))
            case _:
                raise ValueError(f"The permission {permission} is not known.")
    return _document(*statements)


def host_policy(
    *,
    region: str,
    account_id: str,
    repository_arns: Sequence[str],
    release: str,
    secrets: Sequence[str],
    document: str,
    service_roles: Sequence[str],
    metric_namespace: str,
    log_group_arn: str,
) -> str:
    """Return the policy of the API host.

    Its SSM agent takes commands. It reads its program, the SSM document, the parameter with the `release` and those of
    its services' `secrets`, pulls from the repositories, assumes the roles of its services, and writes its logs and
    metrics.
    """
    secret_arns = [parameter_arn(region, account_id, name) for name in secrets]
    return _document(
        _ssm_agent(),
        *_pull(repository_arns),
        _allow(["ssm:GetParameter"], [parameter_arn(region, account_id, release)]),
        *([_allow(["ssm:GetParameters"], secret_arns)] if secret_arns else []),
        _allow(["ssm:GetDocument"], [f"arn:aws:ssm:{region}:{account_id}:document/{document}"]),
        *([_allow(["sts:AssumeRole"], service_roles)] if service_roles else []),
        _write_logs(log_group_arn),
        # Metrics have no resource, but a namespace.
        _allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            Condition={"StringEquals": {"cloudwatch:namespace": metric_namespace}},
        ),
    )


def worker_execution_policy(*, repository_arn: str, log_group_arn: str, parameter_arns: Sequence[str]) -> str:
    """Return the policy of ECS for the start of the worker: pull its image, read its secrets, write its logs."""
    return _document(
        *_pull([repository_arn]),
        *([_allow(["ssm:GetParameters"], parameter_arns)] if parameter_arns else []),
        _write_logs(log_group_arn),
    )


def worker_task_policy(*, queue_arn: str) -> str:
    """Return the policy of the worker's own code."""
    return _document(_work(queue_arn))


def snapshots_policy(*, region: str, account_id: str, tags: Mapping[str, str]) -> str:
    """Return the policy with which Data Lifecycle Manager makes and deletes the snapshots of the volumes with `tags`.

    It covers every volume that the lifecycle policy finds: AWS stops the whole policy if one is refused. CreateTags has
    no condition, since a snapshot is tagged after it was made; so the role could tag another snapshot and delete it.
    Data Lifecycle Manager alone can assume the role.
    """
    snapshots = f"arn:aws:ec2:{region}::snapshot/*"
    of_the_stack = {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in tags.items()}}
    return _document(
        _allow(["ec2:CreateSnapshot"], [f"arn:aws:ec2:{region}:{account_id}:volume/*"], Condition=of_the_stack),
        _allow(["ec2:CreateSnapshot"], [snapshots]),
        _allow(["ec2:CreateTags"], [snapshots]),
        _allow(["ec2:DeleteSnapshot"], [snapshots], Condition=of_the_stack),
        # None of these knows a resource. AWS's own AWSDataLifecycleManagerServiceRole has DescribeInstances too.
        _allow(["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"], ["*"]),
    )
