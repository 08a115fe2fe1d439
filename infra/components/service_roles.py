"""A role for each of the host's services that may do something on AWS: the host assumes it for the container."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components.jobs import Jobs
from infra.lib import iam
from infra.product import Service
from infra.releases import graph
from infra.settings import Settings


@dataclass(frozen=True)
class ServiceRolesArgs:
    """The services and what they may use."""

    settings: Settings
    host_role_arn: pulumi.Input[str]
    """The only role that may assume these."""
    jobs: Jobs | None
    verified_arn: pulumi.Input[str]
    """ARN of the parameter with the releases that were verified."""


class ServiceRoles(pulumi.ComponentResource):
    """One role with one policy for each service that has permissions in product.yaml."""

    arns: Mapping[str, pulumi.Output[str]]
    """The roles' ARNs, by the service's name."""

    def __init__(self, name: str, args: ServiceRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:ServiceRoles", name, None, opts)
        self.arns = {
            service: self._role(service, described, args)
            for service, described in args.settings.services.items()
            if described.permissions
        }
        self.register_outputs({})

    def _role(self, name: str, service: Service, args: ServiceRolesArgs) -> pulumi.Output[str]:
        role = aws.iam.Role(
            f"{name}-service-role",
            name=graph.role_name(args.settings, name),
            assume_role_policy=pulumi.Output.from_input(args.host_role_arn).apply(iam.assume_role_by),
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = pulumi.Output.all(
            queue_arn=args.jobs.arn if args.jobs else None,
            dead_letter_arn=args.jobs.dead_letter_arn if args.jobs else None,
            verified_arn=args.verified_arn,
        ).apply(lambda known: iam.service_policy(permissions=service.permissions, **known))
        aws.iam.RolePolicy(
            f"{name}-service-policy",
            name="service",
            role=role.id,
            policy=policy,
            opts=pulumi.ResourceOptions(parent=role),
        )
        return role.arn
