"""The jobs' queue (SQS), from the API's side."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.common.jobs import Job
from app.common.sqs import DEPTH, most_deliveries

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

AWAY: tuple[type[Exception], ...] = (BotoCoreError, ClientError, OSError)
BATCH = 10
"""How many messages SQS takes at once."""

# No request waits for the queue, but the rows of a batch are locked meanwhile: two quick tries.
CLIENT = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})


@dataclass(frozen=True)
class State:
    """What tells which messages can still be in the queue.

    `idle` where there is none at all, about; `retention_seconds` is how long it keeps one; after `most_deliveries` it
    moves one to its dead-letter queue (None: never).
    """

    idle: bool
    retention_seconds: int
    most_deliveries: int | None


class Queue(Protocol):
    """Where jobs go. Every method may raise one of AWAY."""

    async def send(self, jobs: Sequence[Job]) -> set[UUID]:
        """Put at most BATCH jobs into the queue; the ids of those that it took."""

    async def check(self) -> None:
        """Return if the queue answers; raise what is wrong otherwise."""

    async def state(self) -> State:
        """How the queue stands."""


class SqsQueue:
    """The queue behind the running API. boto3 blocks, so it works in threads."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs", region_name=region, config=CLIENT)

    async def send(self, jobs: Sequence[Job]) -> set[UUID]:
        """One call for all of them."""
        answer = await asyncio.to_thread(
            self._client.send_message_batch,
            QueueUrl=self._url,
            Entries=[{"Id": str(job.job_id), "MessageBody": job.to_json()} for job in jobs],
        )
        for failed in answer.get("Failed", []):
            log.warning("the queue refused a job", extra={"job_id": failed["Id"], "reason": failed["Code"]})
        return {UUID(taken["Id"]) for taken in answer.get("Successful", [])}

    async def check(self) -> None:
        """Ask for one of the queue's attributes."""
        await asyncio.to_thread(
            self._client.get_queue_attributes,
            QueueUrl=self._url,
            AttributeNames=["ApproximateNumberOfMessages"],
        )

    async def state(self) -> State:
        """The queue's own attributes."""
        answer = await asyncio.to_thread(
            self._client.get_queue_attributes,
            QueueUrl=self._url,
            AttributeNames=["All"],
        )
        found = {str(name): value for name, value in answer["Attributes"].items()}
        return State(
            idle=not any(int(found[name]) for name in DEPTH),
            retention_seconds=int(found["MessageRetentionPeriod"]),
            most_deliveries=most_deliveries(found),
        )
