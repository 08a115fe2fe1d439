"""Application Auto Scaling: tags on scalable targets, and policies that live and die with their target."""

import json
from typing import Any, cast

from moto.applicationautoscaling import urls
from moto.applicationautoscaling.models import (
    ApplicationAutoscalingBackend,
    FakeApplicationAutoscalingPolicy,
    applicationautoscaling_backends,
)
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from devcloud.emulator import moto_overrides
from devcloud.emulator.moto_overrides import AwsError


class AutoscalingBackend(ApplicationAutoscalingBackend):
    """moto's, and the tags of each scalable target by its ARN."""

    _url_module = urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tags: dict[str, dict[str, str]] = {}

    def deregister_scalable_target(self, namespace: str, r_id: str, dimension: str) -> None:
        """As AWS does: a target takes its policies along. moto keeps them."""
        super().deregister_scalable_target(namespace, r_id, dimension)
        for key, policy in list(self.policies.items()):
            if (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == (
                namespace,
                r_id,
                dimension,
            ):
                del self.policies[key]

    def put_scaling_policy(
        self,
        policy_name: str,
        service_namespace: str,
        resource_id: str,
        scalable_dimension: str,
        policy_body: dict[str, Any],
        policy_type: str | None,
    ) -> FakeApplicationAutoscalingPolicy:
        """As AWS does: a policy needs a target, and keeps its ARN (which alarms name) when it is changed."""
        if resource_id not in self.targets.get(scalable_dimension, {}):
            raise AwsError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {service_namespace}, "
                f"resource ID: {resource_id}, scalable dimension: {scalable_dimension}",
            )
        key = FakeApplicationAutoscalingPolicy.formulate_key(
            service_namespace, resource_id, scalable_dimension, policy_name
        )
        before = self.policies.get(key)
        policy = super().put_scaling_policy(
            policy_name, service_namespace, resource_id, scalable_dimension, policy_body, policy_type
        )
        if before:
            policy.policy_arn = before.policy_arn
        return policy

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of the scalable target with this ARN, to read or to change."""
        targets = [target for by_id in self.targets.values() for target in by_id.values()]
        if arn not in {target.arn for target in targets}:
            raise AwsError("ResourceNotFoundException", f"Resource not found for ARN: {arn}")
        return self.tags.setdefault(arn, {})


class Response(ApplicationAutoScalingResponse):
    """Without ListTagsForResource the Terraform provider retries for minutes after each read."""

    @property
    def backend(self) -> AutoscalingBackend:
        return cast(AutoscalingBackend, self.applicationautoscaling_backend)

    def register_scalable_target(self) -> str:
        answer = super().register_scalable_target()
        self.backend.tags_of(json.loads(answer)["ScalableTargetARN"]).update(self._get_param("Tags") or {})
        return answer

    def list_tags_for_resource(self) -> str:
        return json.dumps({"Tags": self.backend.tags_of(self._get_param("ResourceARN"))})

    def tag_resource(self) -> str:
        self.backend.tags_of(self._get_param("ResourceARN")).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self) -> str:
        tags = self.backend.tags_of(self._get_param("ResourceARN"))
        for key in self._get_param("TagKeys"):
            tags.pop(key, None)
        return "{}"


def install() -> None:
    moto_overrides.install(applicationautoscaling_backends, AutoscalingBackend, urls, Response)
