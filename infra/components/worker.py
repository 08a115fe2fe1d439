"""The worker: a Fargate Spot service of one task definition, which carries the image's digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.components.network import Network
from infra.lib import iam, task_definition
from infra.settings import models as settings

SPOT = "FARGATE_SPOT"


@dataclass(frozen=True)
class WorkerArgs:
    """The worker's settings and wiring."""

    prefix: str
    network: Network
    """The service waits for it: a task without a way out cannot pull its image, and three such end a deployment."""
    region: str
    account_id: pulumi.Input[str]
    container: str
    """Name of the task's only container."""
    image: pulumi.Input[str]
    """`repository@digest`."""
    spec: settings.Worker
    health: Sequence[str]
    """A command that ends with 0 when the container is well. Fargate ignores the check that the image has."""
    repository_arn: pulumi.Input[str]
    queue_arn: pulumi.Input[str]
    log_retention_days: int
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Environment variables by the ARN of the parameter that holds their value."""
    secret_versions: Mapping[str, pulumi.Input[int]] = field(default_factory=dict)
    """Versions of those parameters, by the secrets' names: a new one is a new revision of the task."""


class Worker(pulumi.ComponentResource):
    """A cluster, a task definition and a service on interruptible capacity."""

    cluster_name: pulumi.Output[str]
    service_name: pulumi.Output[str]
    task_definition_arn: pulumi.Output[str]

    def __init__(self, name: str, args: WorkerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Worker", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            "worker-logs",
            name=f"/{args.prefix}/worker",
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        execution_role, may_start = self._role(
            f"{args.prefix}-worker-execution",
            "execution",
            iam.assume_role("ecs-tasks.amazonaws.com"),
            pulumi.Output.all(
                repository_arn=args.repository_arn,
                log_group_arn=logs.arn,
                parameter_arns=list(args.secrets.values()),
            ).apply(lambda known: iam.worker_execution_policy(**known)),
        )
        task_role, may_work = self._role(
            f"{args.prefix}-worker-task",
            "task",
            pulumi.Output.from_input(args.account_id).apply(
                lambda account: iam.assume_role_for_tasks(args.region, account)
            ),
            pulumi.Output.from_input(args.queue_arn).apply(lambda arn: iam.worker_task_policy(queue_arn=arn)),
        )
        definition = aws.ecs.TaskDefinition(
            "worker-task",
            family=f"{args.prefix}-worker",
            cpu=str(args.spec.cpu),
            memory=str(args.spec.memory_mib),
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
            runtime_platform={"cpu_architecture": "X86_64", "operating_system_family": "LINUX"},
            execution_role_arn=execution_role.arn,
            task_role_arn=task_role.arn,
            container_definitions=pulumi.Output.all(
                image=args.image,
                environment=dict(args.environment),
                secrets=dict(args.secrets),
                secret_versions=dict(args.secret_versions),
                log_group=logs.name,
            ).apply(
                lambda known: task_definition.container_definitions(
                    name=args.container,
                    region=args.region,
                    health=args.health,
                    **known,
                )
            ),
            # A revision that ran is what a rollback goes to: none is ever taken away.
            skip_destroy=True,
            opts=child,
        )
        cluster = aws.ecs.Cluster(
            "cluster",
            name=f"{args.prefix}-cluster",
            settings=[{"name": "containerInsights", "value": "disabled"}],
            opts=child,
        )
        capacity = aws.ecs.ClusterCapacityProviders(
            "capacity",
            cluster_name=cluster.name,
            capacity_providers=["FARGATE", SPOT],
            default_capacity_provider_strategies=[{"capacity_provider": SPOT, "weight": 1, "base": 0}],
            opts=child,
        )
        service = aws.ecs.Service(
            "worker-service",
            name=f"{args.prefix}-worker",
            cluster=cluster.arn,
            task_definition=definition.arn,
            desired_count=args.spec.desired_tasks,
            capacity_provider_strategies=[{"capacity_provider": SPOT, "weight": 1, "base": 0}],
            # AWS takes a change of the strategy only together with a new deployment.
            force_new_deployment=True,
            availability_zone_rebalancing="DISABLED",
            network_configuration={
                "subnets": args.network.subnet_ids,
                "security_groups": [args.network.worker_group_id] if args.network.worker_group_id else [],
                "assign_public_ip": True,  # the way out, for there is no NAT gateway
            },
            deployment_circuit_breaker={"enable": True, "rollback": True},
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    # Without its provider a cluster's last task cannot be ended, and `destroy` hangs. Three tasks that
                    # may not pull, read or reach end the first deployment for good.
                    depends_on=[capacity, args.network, may_start, may_work],
                    # Scaling's to change, once the service is there.
                    ignore_changes=["desiredCount"],
                ),
            ),
        )
        self.cluster_name = cluster.name
        self.service_name = service.name
        self.task_definition_arn = definition.arn
        self.register_outputs({"taskDefinition": self.task_definition_arn})

    def _role(
        self, role_name: str, what: str, trust: pulumi.Input[str], policy: pulumi.Input[str]
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """Declare a role of ECS tasks and its only policy."""
        role = aws.iam.Role(
            f"worker-{what}-role",
            name=role_name,
            assume_role_policy=trust,
            opts=pulumi.ResourceOptions(parent=self),
        )
        allowed = aws.iam.RolePolicy(
            f"worker-{what}-policy",
            name=what,
            role=role.id,
            policy=policy,
            opts=pulumi.ResourceOptions(parent=role),
        )
        return role, allowed
