"""Application Auto Scaling: tags, and policies that live with their target."""

from typing import Any

import pytest

pytestmark = pytest.mark.cloud

DIMENSION = "ecs:service:DesiredCount"
STEPS = {
    "AdjustmentType": "ExactCapacity",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
}


@pytest.fixture
def target(ecs: Any, scaling: Any, name: str) -> dict[str, str]:
    """A scalable service, as each call names it, and its ARN."""
    ecs.create_cluster(clusterName=name)
    ecs.create_service(cluster=name, serviceName="worker", desiredCount=0)
    which = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{name}/worker",
        "ScalableDimension": DIMENSION,
    }
    scaling.register_scalable_target(**which, MinCapacity=0, MaxCapacity=3, Tags={"a": "b"})
    return which


def arn_of(scaling: Any, target: dict[str, str]) -> str:
    """The ARN of a scalable target."""
    found = scaling.describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=[target["ResourceId"]], ScalableDimension=DIMENSION
    )
    return str(found["ScalableTargets"][0]["ScalableTargetARN"])


def put(scaling: Any, target: dict[str, str], cooldown: int = 60) -> str:
    """Put the policy `backlog`; its ARN."""
    steps = {**STEPS, "Cooldown": cooldown}
    answer = scaling.put_scaling_policy(
        **target, PolicyName="backlog", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
    )
    return str(answer["PolicyARN"])


def test_a_target_has_the_tags_that_it_was_given(scaling: Any, target: dict[str, str]) -> None:
    arn = arn_of(scaling, target)
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "b"}
    scaling.tag_resource(ResourceARN=arn, Tags={"c": "d"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"c": "d"}


def test_what_is_not_there_has_no_tags(scaling: Any, target: dict[str, str]) -> None:
    with pytest.raises(scaling.exceptions.ResourceNotFoundException):
        scaling.list_tags_for_resource(ResourceARN=arn_of(scaling, target) + "0")


def test_a_policy_keeps_its_arn_when_it_changes(scaling: Any, target: dict[str, str]) -> None:
    assert put(scaling, target) == put(scaling, target, cooldown=90)
    found = scaling.describe_scaling_policies(**target)["ScalingPolicies"]
    assert [each["StepScalingPolicyConfiguration"]["Cooldown"] for each in found] == [90]


def test_a_policy_needs_a_target(scaling: Any, target: dict[str, str]) -> None:
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        put(scaling, {**target, "ResourceId": "service/no/such"})


def test_a_target_takes_its_policies_along(scaling: Any, target: dict[str, str]) -> None:
    put(scaling, target)
    scaling.deregister_scalable_target(**target)
    assert scaling.describe_scaling_policies(**target)["ScalingPolicies"] == []
