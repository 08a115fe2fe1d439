"""ECS: services that settle at once, and the refusals that a program must meet here before it meets AWS's.

A service says that it runs what it was asked to run; nothing runs yet behind it. RunTask is moto's own.
"""

import copy
import datetime
import re
import uuid
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ecs import urls
from moto.ecs.exceptions import ClusterNotFoundException
from moto.ecs.models import Cluster, EC2ContainerServiceBackend, Service, TaskDefinition, ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from devcloud.emulator import moto_overrides
from devcloud.emulator.moto_overrides import AwsError

# CPU units to MiB: "Task size" in the ECS developer guide for Fargate, 2026-11.
FARGATE_SIZES: dict[int, frozenset[int]] = {
    256: frozenset({512, 1024, 2048}),
    512: frozenset(range(1024, 4096 + 1, 1024)),
    1024: frozenset(range(2048, 8192 + 1, 1024)),
    2048: frozenset(range(4096, 16384 + 1, 1024)),
    4096: frozenset(range(8192, 30720 + 1, 1024)),
    8192: frozenset(range(16384, 61440 + 1, 4096)),
    16384: frozenset(range(32768, 122880 + 1, 8192)),
}


def in_units(text: str, unit: str) -> int:
    """A task's size as ECS reads it: `512`, or `0.5 vCPU` and `3 GB`, of which each is 1024 units."""
    match = re.fullmatch(rf"(\d+)|(\d*\.?\d+)\s*{unit}", text.strip(), re.IGNORECASE)
    if not match:
        name = "cpu" if unit == "vCPU" else "memory"
        raise AwsError("ClientException", f"Invalid '{name}' setting for task.")
    return int(match[1]) if match[1] else int(float(match[2]) * 1024)


def refuse_illegal_fargate_size(cpu: str | None, memory: str | None) -> None:
    """Refuse what no Fargate task can be: `cpu` in units, `memory` in MiB, as the API has them."""
    for name, value in (("cpu", cpu), ("memory", memory)):
        if not value:
            raise AwsError("ClientException", f"Fargate requires that '{name}' be defined at the task level.")
    units, mebibytes = in_units(cpu or "", "vCPU"), in_units(memory or "", "GB")
    if mebibytes not in FARGATE_SIZES.get(units, frozenset()):
        raise AwsError(
            "ClientException", f"No Fargate configuration exists for given values: {units} CPU, {mebibytes} memory."
        )


class EcsBackend(EC2ContainerServiceBackend):
    """moto's, where what was deleted is gone and a task may have its memory as a whole."""

    _url_module = urls

    def _get_cluster(self, name: str) -> Cluster:
        cluster = super()._get_cluster(name)
        if cluster.status == "INACTIVE":
            raise ClusterNotFoundException
        return cluster

    def list_clusters(self) -> list[str]:
        """ListClusters: moto lists deleted ones."""
        return [cluster.arn for cluster in self.clusters.values() if cluster.status == "ACTIVE"]

    def delete_cluster(self, cluster_str: str) -> Cluster:
        """DeleteCluster, refusing while services are active."""
        if self.active_services(self._get_cluster(cluster_str)):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        return super().delete_cluster(cluster_str)

    def put_cluster_capacity_providers(
        self,
        cluster_name: str,
        capacity_providers: list[str] | None,
        default_capacity_provider_strategy: list[dict[str, Any]] | None,
    ) -> Cluster:
        """PutClusterCapacityProviders, refusing to take one away that a service uses."""
        kept = capacity_providers or []
        for service in self.active_services(self._get_cluster(cluster_name)):
            if any(use["capacityProvider"] not in kept for use in strategy_of(service)):
                raise AwsError(
                    "ResourceInUseException", "The specified capacity provider is in use and cannot be removed."
                )
        return super().put_cluster_capacity_providers(
            cluster_name, capacity_providers, default_capacity_provider_strategy
        )

    def active_services(self, cluster: Cluster) -> list[Service]:
        """The cluster's services that were not deleted."""
        return [
            service
            for service in self.services.values()
            if service.cluster_name == cluster.name and service.status == "ACTIVE"
        ]

    def list_services(
        self, cluster_str: str, scheduling_strategy: str | None = None, launch_type: str | None = None
    ) -> list[str]:
        """ListServices: moto lists deleted ones."""
        active = {service.arn for service in self.active_services(self._get_cluster(cluster_str))}
        return [arn for arn in super().list_services(cluster_str, scheduling_strategy, launch_type) if arn in active]

    def delete_service(self, cluster_name: str, service_name: str, force: bool) -> Service:
        """DeleteService: what is gone runs nothing."""
        service = super().delete_service(cluster_name, service_name, force)
        service.desired_count = service.running_count = 0
        service.deployments = []
        self._count_tasks(self._get_cluster(cluster_name))
        return service

    def refuse_strategy(self, cluster: Cluster, strategy: list[dict[str, Any]]) -> None:
        """Refuse a capacity provider that the cluster was not given."""
        if any(use["capacityProvider"] not in (cluster.capacity_providers or []) for use in strategy):
            raise AwsError(
                "InvalidParameterException",
                "The specified capacity provider strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster and try "
                "again.",
            )

    def active_task_definition(self, named: str) -> TaskDefinition:
        """The task definition for a service to run, refusing one that was deregistered."""
        definition = self.describe_task_definition(named)
        if definition.status != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
        return definition

    def settle(self, service: Service, new_deployment: bool) -> None:
        """Bring a service where ECS would bring it: one deployment, completed, with every task running."""
        service.running_count, service.pending_count = service.desired_count, 0
        now = datetime.datetime.now(datetime.UTC)
        deployment: dict[str, Any] = {"createdAt": now}
        if service.deployments:
            deployment = service.deployments[0]
        if new_deployment:
            deployment = {"createdAt": now, "id": f"ecs-svc/{uuid.uuid4().int % 10**19:019}"}
        strategy = strategy_of(service)
        deployment.pop("launchType", None)
        deployment.update(
            {
                "status": "PRIMARY",
                "taskDefinition": service.task_definition,
                "desiredCount": service.desired_count,
                "runningCount": service.desired_count,
                "pendingCount": 0,
                "failedTasks": 0,
                "rolloutState": "COMPLETED",
                "rolloutStateReason": f"ECS deployment {deployment.get('id')} completed.",
                "networkConfiguration": service.network_configuration,
                "platformVersion": service.platform_version,
                "platformFamily": "Linux",
                "updatedAt": now,
                **({"capacityProviderStrategy": strategy} if strategy else {"launchType": service.launch_type}),
            }
        )
        service.deployments = [deployment]
        self._count_tasks(self._get_cluster(service.cluster_name))

    def _count_tasks(self, cluster: Cluster) -> None:
        cluster.running_tasks_count = sum(service.running_count for service in self.active_services(cluster))
        cluster.pending_tasks_count = 0

    @staticmethod
    def _calculate_task_resource_requirements(task_definition: TaskDefinition) -> dict[str, Any]:
        # moto adds up the containers' memory and fails on a container that has none of its own.
        whole = copy.copy(task_definition)
        whole.container_definitions = [
            container
            if container.get("memory") or container.get("memoryReservation")
            else {**container, "memory": in_units(str(task_definition.memory or 0), "GB")}
            for container in task_definition.container_definitions
        ]
        return EC2ContainerServiceBackend._calculate_task_resource_requirements(whole)


def strategy_of(service: Service) -> list[dict[str, Any]]:
    """A service's capacity provider strategy, for which moto has no place; empty for a launch type."""
    return cast(list[dict[str, Any]], getattr(service, "capacity_provider_strategy", []))


def with_base(strategy: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """A strategy as ECS gives it back: with the defaults that were left out."""
    return [{"base": 0, "weight": 0, **use} for use in strategy or []]


def deployment_configuration(given: dict[str, Any] | None) -> dict[str, Any]:
    """A deployment configuration as ECS gives it back: with the defaults that were left out."""
    return {
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
        **(given or {}),
    }


class Response(EC2ContainerServiceResponse):
    """moto's, with what it leaves out of a service, and AWS's refusals."""

    @property
    def backend(self) -> EcsBackend:
        return cast(EcsBackend, self.ecs_backend)

    def register_task_definition(self) -> ActionResult:
        """RegisterTaskDefinition, refusing what Fargate cannot run."""
        if "FARGATE" in (self._get_param("requiresCompatibilities") or []):
            refuse_illegal_fargate_size(self._get_param("cpu"), self._get_param("memory"))
            if self._get_param("networkMode") != "awsvpc":
                raise AwsError("ClientException", "Fargate only supports network mode ‘awsvpc’.")  # noqa: RUF001 - as AWS words it
        return super().register_task_definition()

    def create_service(self) -> ActionResult:
        """CreateService, settled, with the settings that moto drops."""
        cluster = self.backend._get_cluster(self._get_param("cluster", "default"))
        name = self._get_param("serviceName")
        if name in {service.name for service in self.backend.active_services(cluster)}:
            raise AwsError("InvalidParameterException", "Creation of service was not idempotent.")
        strategy = with_base(self._get_param("capacityProviderStrategy"))
        if not strategy and not self._get_param("launchType"):
            strategy = with_base(cluster.default_capacity_provider_strategy)
        self.backend.refuse_strategy(cluster, strategy)
        if self._get_param("taskDefinition"):
            self.backend.active_task_definition(self._get_param("taskDefinition"))

        result = super().create_service()
        service: Any = cast(dict[str, Any], result.result)["service"]
        service.capacity_provider_strategy = strategy
        service.launch_type = None if strategy else service.launch_type
        service.platform_version = service.platform_version or "LATEST"
        service.deployment_configuration = deployment_configuration(self._get_param("deploymentConfiguration"))
        service.enable_ecs_managed_tags = bool(self._get_param("enableECSManagedTags"))
        service.enable_execute_command = bool(self._get_param("enableExecuteCommand"))
        service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds") or 0
        service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing") or "DISABLED"
        self.backend.settle(service, new_deployment=True)
        return result

    def update_service(self) -> ActionResult:
        """UpdateService, settled; a deployment of its own where ECS makes one."""
        backend, given = self.backend, self._get_params()
        cluster = backend._get_cluster(given.get("cluster", "default"))
        service: Any = backend._get_service(cluster.name, given["service"].split("/")[-1])
        if service.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        if "taskDefinition" in given:
            # ECS always names the revision in full; moto repeats what it was given.
            given["taskDefinition"] = backend.active_task_definition(given["taskDefinition"]).arn
        if "capacityProviderStrategy" in given:
            given["capacityProviderStrategy"] = with_base(given["capacityProviderStrategy"])
            backend.refuse_strategy(cluster, given["capacityProviderStrategy"])
            service.launch_type = None
        if "deploymentConfiguration" in given:
            given["deploymentConfiguration"] = deployment_configuration(given["deploymentConfiguration"])

        shape = ("task_definition", "network_configuration", "capacity_provider_strategy", "platform_version")
        before = [getattr(service, name, None) for name in shape]
        forced = bool(given.get("forceNewDeployment"))
        result = super().update_service()
        changed = before != [getattr(service, name, None) for name in shape]
        backend.settle(service, new_deployment=changed or forced)
        return result

    def list_service_deployments(self) -> ActionResult:
        """ListServiceDeployments: the one that a service has, which succeeded."""
        cluster = self.backend._get_cluster(self._get_param("cluster", "default"))
        service = self.backend._get_service(cluster.name, self._get_param("service").split("/")[-1])
        statuses = self._get_param("status") or ["SUCCESSFUL"]
        deployments = service_deployments(service) if "SUCCESSFUL" in statuses else []
        return ActionResult({"serviceDeployments": deployments})

    def describe_service_deployments(self) -> ActionResult:
        asked = self._get_param("serviceDeploymentArns") or []
        known = {
            deployment["serviceDeploymentArn"]: deployment
            for service in self.backend.services.values()
            for deployment in service_deployments(service)
        }
        return ActionResult(
            {
                "serviceDeployments": [known[arn] for arn in asked if arn in known],
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known],
            }
        )

    def put_account_setting_default(self) -> ActionResult:
        """PutAccountSettingDefault: with one principal, an account's default is its setting."""
        return self.put_account_setting()


def service_deployments(service: Service) -> list[dict[str, Any]]:
    """A service's deployments as the newer of ECS's two descriptions has them."""
    deployments: list[dict[str, Any]] = service.deployments
    return [
        {
            "serviceDeploymentArn": f"{service.arn.replace(':service/', ':service-deployment/')}/"
            f"{deployment['id'].split('/')[-1]}",
            "serviceArn": service.arn,
            "clusterArn": service.cluster_arn,
            "createdAt": deployment["createdAt"],
            "startedAt": deployment["createdAt"],
            "finishedAt": deployment["updatedAt"],
            "updatedAt": deployment["updatedAt"],
            "status": "SUCCESSFUL",
            "deploymentConfiguration": getattr(service, "deployment_configuration", {}),
        }
        for deployment in deployments
    ]


def install() -> None:
    moto_overrides.install(ecs_backends, EcsBackend, urls, Response)
