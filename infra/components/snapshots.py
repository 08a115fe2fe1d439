"""Nightly snapshots of the data volume, by Amazon Data Lifecycle Manager."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.lib import iam
from infra.settings import Settings

TAG = "Snapshots"
"""Tag whose value is the stack's prefix: on the volume that snapshots are made of, and on the snapshots."""


def tags(prefix: str) -> Mapping[str, str]:
    """Return the tags of a stack's data volume, and of its snapshots."""
    return {"Name": f"{prefix}-data", TAG: prefix}


@dataclass(frozen=True)
class SnapshotsArgs:
    """The stack whose data volume snapshots are made of."""

    settings: Settings
    account_id: pulumi.Input[str]


class Snapshots(pulumi.ComponentResource):
    """A policy that makes a snapshot each night and deletes the oldest, with the role that AWS does it by."""

    policy_id: pulumi.Output[str]

    def __init__(self, name: str, args: SnapshotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Snapshots", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        role = aws.iam.Role(
            "snapshots-role",
            name=f"{settings.prefix}-snapshots",
            assume_role_policy=pulumi.Output.from_input(args.account_id).apply(
                lambda account: iam.assume_role_for_snapshots(settings.region, account)
            ),
            opts=child,
        )
        may_snapshot = aws.iam.RolePolicy(
            "snapshots-role-policy",
            name="snapshots",
            role=role.id,
            policy=pulumi.Output.from_input(args.account_id).apply(
                lambda account: iam.snapshots_policy(
                    region=settings.region, account_id=account, tags={TAG: settings.prefix}
                )
            ),
            opts=child,
        )
        policy = aws.dlm.LifecyclePolicy(
            "snapshots-policy",
            # AWS takes letters, digits, blanks, hyphens and underscores alone.
            description=f"Nightly snapshots of the data volume of {settings.prefix}",
            execution_role_arn=role.arn,
            state="ENABLED",
            policy_details={
                "resource_types": ["VOLUME"],
                "target_tags": {TAG: settings.prefix},
                "schedules": [
                    {
                        "name": "nightly",
                        "create_rule": {"cron_expression": nightly(settings.host.backups.hour)},
                        "retain_rule": {"count": settings.snapshots_kept},
                        "tags_to_add": {**tags(settings.prefix), "Project": settings.project, "Stack": settings.stack},
                    }
                ],
            },
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[may_snapshot])),
        )
        self.policy_id = policy.id
        self.register_outputs({"policyId": self.policy_id})


def nightly(dump_hour: int) -> str:
    """Return the schedule of the snapshots: the hour after the dump's, so that the newest dump is in them.

    Not by `times`: pulumi-aws takes one text there, the provider of the rehearsal a list.
    """
    return f"cron(0 {(dump_hour + 1) % 24} * * ? *)"
