"""ECS: services that settle, and what Fargate refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .refusals import refusal

pytestmark = pytest.mark.cloud

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


def register(ecs: Any, family: str, cpu: str = "512", memory: str = "3072", **more: Any) -> str:
    """Register a Fargate task definition of one container; its ARN."""
    definition = ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu=cpu,
        memory=memory,
        containerDefinitions=[{"name": "worker", "image": "worker"}],
        **more,
    )
    return str(definition["taskDefinition"]["taskDefinitionArn"])


@pytest.fixture
def cluster(ecs: Any, name: str) -> str:
    """A cluster with Fargate Spot."""
    ecs.create_cluster(clusterName=name)
    ecs.put_cluster_capacity_providers(
        cluster=name, capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=SPOT
    )
    return name


@pytest.fixture
def network(ec2: Any) -> Iterator[dict[str, Any]]:
    """A network configuration in the default VPC."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    return {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group], "assignPublicIp": "ENABLED"}}


@pytest.fixture
def service(ecs: Any, cluster: str, network: dict[str, Any]) -> dict[str, Any]:
    """A service of two tasks on Fargate Spot, with a circuit breaker, as CreateService gave it back."""
    created = ecs.create_service(
        cluster=cluster,
        serviceName="worker",
        taskDefinition=register(ecs, cluster),
        desiredCount=2,
        capacityProviderStrategy=SPOT,
        networkConfiguration=network,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        enableECSManagedTags=True,
    )
    found: dict[str, Any] = created["service"]
    return found


def described(ecs: Any, cluster: str) -> dict[str, Any]:
    """The cluster's service as DescribeServices has it."""
    found: dict[str, Any] = ecs.describe_services(cluster=cluster, services=["worker"])["services"][0]
    return found


def test_a_new_service_is_where_ecs_would_bring_it(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    found = described(ecs, cluster)
    assert (found["desiredCount"], found["runningCount"], found["pendingCount"]) == (2, 2, 0)
    assert len(found["deployments"]) == 1
    deployment = found["deployments"][0]
    assert deployment["rolloutState"] == "COMPLETED"
    assert deployment["runningCount"] == 2
    assert deployment["taskDefinition"] == service["taskDefinition"]
    assert ecs.describe_clusters(clusters=[cluster])["clusters"][0]["runningTasksCount"] == 2


def test_a_service_runs_on_the_capacity_that_it_asked_for_and_no_launch_type(
    ecs: Any, cluster: str, service: dict[str, Any]
) -> None:
    found = described(ecs, cluster)
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    assert found["capacityProviderStrategy"] == strategy
    assert found["deployments"][0]["capacityProviderStrategy"] == strategy
    assert "launchType" not in found


def test_a_service_without_a_strategy_gets_the_clusters(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    ecs.create_service(
        cluster=cluster,
        serviceName="worker",
        taskDefinition=register(ecs, cluster),
        networkConfiguration=network,
    )
    assert described(ecs, cluster)["capacityProviderStrategy"][0]["capacityProvider"] == "FARGATE_SPOT"


def test_a_service_keeps_its_circuit_breaker_and_settings(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    found = described(ecs, cluster)
    assert found["deploymentConfiguration"]["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert found["deploymentConfiguration"]["maximumPercent"] == 200
    assert found["enableECSManagedTags"] is True
    assert found["enableExecuteCommand"] is False
    assert found["availabilityZoneRebalancing"] == "DISABLED"


def test_a_new_task_definition_is_a_new_deployment_named_in_full(
    ecs: Any, cluster: str, service: dict[str, Any]
) -> None:
    register(ecs, cluster)
    ecs.update_service(cluster=cluster, service="worker", taskDefinition=f"{cluster}:2")
    found = described(ecs, cluster)
    assert found["taskDefinition"].endswith(f"task-definition/{cluster}:2")
    assert found["deployments"][0]["taskDefinition"] == found["taskDefinition"]
    assert found["deployments"][0]["id"] != service["deployments"][0]["id"]
    assert found["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_new_count_is_reached_without_a_new_deployment(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    ecs.update_service(cluster=cluster, service="worker", desiredCount=0)
    found = described(ecs, cluster)
    assert (found["desiredCount"], found["runningCount"]) == (0, 0)
    assert found["deployments"][0]["id"] == service["deployments"][0]["id"]
    assert ecs.describe_clusters(clusters=[cluster])["clusters"][0]["runningTasksCount"] == 0


def test_forcing_makes_a_new_deployment_of_the_same(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    ecs.update_service(cluster=cluster, service="worker", forceNewDeployment=True)
    assert described(ecs, cluster)["deployments"][0]["id"] != service["deployments"][0]["id"]


def test_the_newer_description_of_a_deployment_says_that_it_succeeded(
    ecs: Any, cluster: str, service: dict[str, Any]
) -> None:
    listed = ecs.list_service_deployments(cluster=cluster, service="worker")["serviceDeployments"]
    assert [each["status"] for each in listed] == ["SUCCESSFUL"]
    assert (
        ecs.list_service_deployments(cluster=cluster, service="worker", status=["PENDING"])["serviceDeployments"] == []
    )
    arn = listed[0]["serviceDeploymentArn"]
    answer = ecs.describe_service_deployments(serviceDeploymentArns=[arn, f"{arn}0"])
    assert [each["serviceArn"] for each in answer["serviceDeployments"]] == [service["serviceArn"]]
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]


def test_what_was_deleted_is_no_longer_listed(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    ecs.delete_service(cluster=cluster, service="worker", force=True)
    assert ecs.list_services(cluster=cluster)["serviceArns"] == []
    assert described(ecs, cluster)["status"] == "INACTIVE"
    ecs.delete_cluster(cluster=cluster)
    assert not [arn for arn in ecs.list_clusters()["clusterArns"] if arn.endswith(cluster)]
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_services(cluster=cluster)


def test_a_deleted_cluster_and_service_can_be_made_again(
    ecs: Any, cluster: str, service: dict[str, Any], network: dict[str, Any]
) -> None:
    ecs.delete_service(cluster=cluster, service="worker", force=True)
    ecs.create_service(cluster=cluster, serviceName="worker", taskDefinition=cluster, networkConfiguration=network)
    assert described(ecs, cluster)["status"] == "ACTIVE"


def test_a_second_service_of_the_same_name_is_refused(
    ecs: Any, cluster: str, service: dict[str, Any], network: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        ecs.create_service(cluster=cluster, serviceName="worker", taskDefinition=cluster, networkConfiguration=network)
    assert refusal(caught) == ("InvalidParameterException", "Creation of service was not idempotent.")


def test_a_capacity_provider_must_be_the_clusters(ecs: Any, name: str, network: dict[str, Any]) -> None:
    ecs.create_cluster(clusterName=name)
    with pytest.raises(ClientError) as caught:
        ecs.create_service(
            cluster=name,
            serviceName="worker",
            taskDefinition=register(ecs, name),
            capacityProviderStrategy=SPOT,
            networkConfiguration=network,
        )
    assert "not associated with the cluster" in refusal(caught)[1]


def test_a_capacity_provider_that_is_used_is_not_taken_away(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        ecs.put_cluster_capacity_providers(cluster=cluster, capacityProviders=[], defaultCapacityProviderStrategy=[])
    assert refusal(caught)[0] == "ResourceInUseException"


def test_a_cluster_with_services_is_not_deleted(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        ecs.delete_cluster(cluster=cluster)
    assert refusal(caught)[0] == "ClusterContainsServicesException"


def test_a_deregistered_task_definition_is_not_deployed(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    ecs.deregister_task_definition(taskDefinition=f"{cluster}:1")
    with pytest.raises(ClientError) as caught:
        ecs.update_service(cluster=cluster, service="worker", taskDefinition=f"{cluster}:1")
    assert refusal(caught) == ("ClientException", "TaskDefinition is inactive")


def test_a_task_may_have_its_memory_as_a_whole(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    arn = register(ecs, cluster)
    ran = ecs.run_task(cluster=cluster, taskDefinition=arn, launchType="FARGATE", networkConfiguration=network)
    assert [task["taskDefinitionArn"] for task in ran["tasks"]] == [arn]


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [
        *(("256", memory) for memory in ("512", "1024", "2048")),
        *(("512", memory) for memory in ("1024", "2048", "3072", "4096")),
        *(("1024", "2048"), ("1024", "8192"), ("2048", "4096"), ("2048", "16384")),
        *(("4096", "8192"), ("4096", "30720"), ("8192", "16384"), ("8192", "61440")),
        *(("16384", "32768"), ("16384", "122880")),
        *(("0.5 vCPU", "3 GB"), ("1vcpu", "2gb")),
    ],
)
def test_a_size_that_fargate_has_is_taken(ecs: Any, name: str, cpu: str, memory: str) -> None:
    assert register(ecs, name, cpu, memory)


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [
        *(("512", "9999"), ("512", "512"), ("512", "5120"), ("512", "3000"), ("256", "3072")),
        *(("1024", "1024"), ("4096", "31744"), ("8192", "20000"), ("16384", "36864"), ("300", "1024")),
    ],
)
def test_a_size_that_fargate_does_not_have_is_refused(ecs: Any, name: str, cpu: str, memory: str) -> None:
    with pytest.raises(ClientError) as caught:
        register(ecs, name, cpu, memory)
    assert refusal(caught) == (
        "ClientException",
        f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.",
    )


def test_a_size_that_is_none_or_missing_is_refused(ecs: Any, name: str) -> None:
    with pytest.raises(ClientError, match="Invalid 'cpu' setting for task"):
        register(ecs, name, cpu="half")
    with pytest.raises(ClientError, match="Fargate requires that 'memory' be defined at the task level"):
        register(ecs, name, memory="")


def test_a_fargate_task_has_a_network_of_its_own(ecs: Any, name: str) -> None:
    with pytest.raises(ClientError, match="Fargate only supports network mode"):
        ecs.register_task_definition(
            family=name,
            requiresCompatibilities=["FARGATE"],
            networkMode="bridge",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "worker", "image": "worker"}],
        )


def test_what_is_not_for_fargate_has_no_such_limits(ecs: Any, name: str) -> None:
    ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "worker", "image": "worker", "memory": 100}]
    )
    assert ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["revision"] == 1
