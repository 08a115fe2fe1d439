"""SQS: RedriveAllowPolicy, policies given back as they were written, and values that AWS refuses."""

import json
from typing import Any

from moto.sqs import models, urls
from moto.sqs.constants import MAXIMUM_VISIBILITY_TIMEOUT
from moto.sqs.responses import SQSResponse

from devcloud.emulator import moto_overrides
from devcloud.emulator.moto_overrides import AwsError

# CreateQueue in the SQS API reference, 2026-11: seconds, and bytes for the message size.
RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, MAXIMUM_VISIBILITY_TIMEOUT),
}
RECEIVES = (1, 1000)  # RedrivePolicy's maxReceiveCount


class Queue(models.Queue):
    """moto's queue, which knows RedriveAllowPolicy and forgets no policy when something else is set."""

    BASE_ATTRIBUTES = [*models.Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]  # noqa: RUF012 - as moto's

    redrive_allow_policy: str | None = None
    written_redrive_policy: str | None = None
    policy: str | None = None

    def _set_attributes(self, attributes: dict[str, Any], now: float | None = None) -> None:
        refuse_out_of_range(attributes)
        redrive = attributes.get("RedrivePolicy")
        if redrive:
            self._refuse_redrive(redrive)
        policy = self.policy
        super()._set_attributes(attributes, now)
        if "Policy" not in attributes:
            self.policy = policy
        if "RedrivePolicy" in attributes:
            self.written_redrive_policy = redrive

    def _refuse_redrive(self, written: str) -> None:
        """Refuse a redrive policy that names no queue, or a count out of range: InvalidParameterValue."""

        def refusal(reason: str) -> AwsError:
            return AwsError(
                "InvalidParameterValue", f"Value {written} for parameter RedrivePolicy is invalid. Reason: {reason}"
            )

        try:
            policy = json.loads(written)
        except ValueError:
            raise refusal("Redrive policy is not a valid JSON map.") from None
        try:
            count = int(policy.get("maxReceiveCount", RECEIVES[0]))
        except ValueError:
            count = 0
        if not RECEIVES[0] <= count <= RECEIVES[1]:
            raise refusal(
                f"Invalid value for maxReceiveCount: {policy['maxReceiveCount']}, "
                f"valid values are from {RECEIVES[0]} to {RECEIVES[1]} both inclusive."
            )
        target = policy.get("deadLetterTargetArn")
        queues = models.sqs_backends[self.account_id][self.region].queues
        if target and target not in {queue.queue_arn for queue in queues.values()}:
            raise refusal("Dead letter target does not exist.")

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes, with the redrive policy as it was written: a provider compares it as a string."""
        attributes = super().attributes
        if self.redrive_policy and self.written_redrive_policy:
            attributes["RedrivePolicy"] = self.written_redrive_policy
        if not attributes["RedriveAllowPolicy"]:
            del attributes["RedriveAllowPolicy"]
        return attributes


def refuse_out_of_range(attributes: dict[str, Any]) -> None:
    """Refuse a number that is none, or out of the range that SQS gives it: InvalidAttributeValue."""
    for name, (least, most) in RANGES.items():
        if name not in attributes:
            continue
        try:
            legal = least <= int(attributes[name]) <= most
        except (TypeError, ValueError):
            legal = False
        if not legal:
            raise AwsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


class Response(SQSResponse):
    """moto's, refusing what moto lets through."""

    def _get_validated_visibility_timeout(self, timeout: str | None = None) -> int:
        seconds = super()._get_validated_visibility_timeout(timeout)
        if seconds < 0:
            raise AwsError(
                "InvalidParameterValue",
                f"Value {seconds} for parameter VisibilityTimeout is invalid. "
                f"Reason: Must be between 0 and {MAXIMUM_VISIBILITY_TIMEOUT}, if provided.",
            )
        return seconds


class SqsBackend(models.SQSBackend):
    """moto's, under our class so that it is found at our addresses."""

    _url_module = urls


def install() -> None:
    models.Queue = Queue  # type: ignore[misc]
    moto_overrides.install(models.sqs_backends, SqsBackend, urls, Response)
