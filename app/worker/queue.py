"""The jobs' queue (SQS), from the worker's side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import boto3
from botocore.config import Config

from app.common.sqs import most_deliveries

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# One long poll. A stop waits for it to end, so it is short; SQS itself allows 20. An idle month of it is 1.3 million
# calls, of which the first million is free and the rest 12 cents.
POLL_SECONDS = 2
CLIENT = Config(connect_timeout=3, read_timeout=POLL_SECONDS + 5, retries={"total_max_attempts": 2, "mode": "standard"})


@dataclass(frozen=True)
class Message:
    """One delivery of a message; `deliveries` counts this one too."""

    body: str
    receipt: str
    deliveries: int


class Queue(Protocol):
    """Where messages come from.

    Every method raises botocore's BotoCoreError or ClientError: the queue is away.
    """

    def receive(self) -> Message | None:
        """The next message, None where none came within POLL_SECONDS."""

    def delete(self, message: Message) -> None:
        """The message's work is done."""

    def hide(self, message: Message, seconds: int) -> None:
        """Keep the message from other receivers for `seconds` from now; 0 gives it back at once."""

    def most_deliveries(self) -> int | None:
        """After how many deliveries the queue moves a message to its dead-letter queue; None for never."""


class SqsQueue:
    """The queue behind the running worker."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs", region_name=region, config=CLIENT)

    def receive(self) -> Message | None:
        """Poll once, for one message: half a core works on one at a time, and a stop gives back one at most."""
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=POLL_SECONDS,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        for message in answer.get("Messages", []):
            deliveries = int(message["Attributes"]["ApproximateReceiveCount"])
            return Message(message["Body"], message["ReceiptHandle"], deliveries)
        return None

    def delete(self, message: Message) -> None:
        """Take the message out of the queue."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def hide(self, message: Message, seconds: int) -> None:
        """Set the message's visibility timeout."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
        )

    def most_deliveries(self) -> int | None:
        """`maxReceiveCount` of the queue's redrive policy."""
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"])
        return most_deliveries({str(name): value for name, value in answer.get("Attributes", {}).items()})
