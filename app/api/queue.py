"""The jobs' queue (SQS), from the API's side."""

import asyncio
from typing import TYPE_CHECKING, Protocol

import boto3
from botocore.config import Config

from app.common.jobs import Job

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# A request waits for the queue: two quick tries, then the outbox takes over.
CLIENT = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})


class Queue(Protocol):
    """Where jobs go. Both methods raise botocore's BotoCoreError or ClientError: the queue is away."""

    async def send(self, job: Job) -> None:
        """Return when the queue has the job."""

    async def check(self) -> None:
        """Return if the queue answers; raise what is wrong otherwise."""


class SqsQueue:
    """The queue behind the running API. boto3 blocks, so it works in threads."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs", region_name=region, config=CLIENT)

    async def send(self, job: Job) -> None:
        """Put the job into the queue."""
        await asyncio.to_thread(self._client.send_message, QueueUrl=self._url, MessageBody=job.to_json())

    async def check(self) -> None:
        """Ask for one of the queue's attributes."""
        await asyncio.to_thread(
            self._client.get_queue_attributes,
            QueueUrl=self._url,
            AttributeNames=["ApproximateNumberOfMessages"],
        )
