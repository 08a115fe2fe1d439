"""Read the attributes that SQS has of a queue."""

import json
from collections.abc import Mapping

DEPTH = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
"""The attributes that count messages, about: those to be taken, those that a worker has, those held back."""


def most_deliveries(attributes: Mapping[str, str]) -> int | None:
    """After how many deliveries the queue moves a message to its dead-letter queue; None for never."""
    policy = attributes.get("RedrivePolicy")
    return int(json.loads(policy)["maxReceiveCount"]) if policy else None
