"""What the cloud knows: how deep the queue is, and which release serves."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config

from app.common.sqs import DEPTH

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# A page waits for them: one try, and the card says what is wrong.
CLIENT = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True)
class Depth:
    """Messages of the queue, about: those to be taken, those that a worker has, those held back for a while.

    `dead` are those that were given up, None where they cannot be counted, which `dead_reason` explains.
    """

    visible: int
    in_flight: int
    delayed: int
    dead: int | None
    dead_reason: str = ""


class Queue(Protocol):
    """The jobs' queue, to look at."""

    async def depth(self) -> Depth:
        """How many messages there are; raises botocore's errors or OSError: the queue is away."""


class SqsQueue(Queue):
    """The queue in SQS. boto3 blocks, so it works in threads."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs", region_name=region, config=CLIENT)

    async def depth(self) -> Depth:
        """The queue's own attributes, then those of the queue that its redrive policy names."""
        return await asyncio.to_thread(self._depth)

    def _depth(self) -> Depth:
        found = self._attributes(self._url, *DEPTH, "RedrivePolicy")
        visible, in_flight, delayed = (int(found.get(name, 0)) for name in DEPTH)
        policy = json.loads(found.get("RedrivePolicy") or "{}")
        name = str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
        if not name:
            return Depth(visible, in_flight, delayed, None, "the queue has no dead-letter queue")
        try:
            # Both queues are one account's, so their addresses differ in their names only.
            dead = self._attributes(f"{self._url.rpartition('/')[0]}/{name}", DEPTH[0])
        except Exception as error:  # noqa: BLE001 - the queue's own numbers are worth showing without it
            return Depth(visible, in_flight, delayed, None, f"{name} cannot be read ({type(error).__name__})")
        return Depth(visible, in_flight, delayed, int(dead.get(DEPTH[0], 0)))

    def _attributes(self, url: str, *names: Any) -> dict[str, str]:
        answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
        return {str(key): value for key, value in answer.get("Attributes", {}).items()}


@dataclass(frozen=True)
class ServiceImage:
    """The image that a service runs."""

    service: str
    repository: str
    digest: str


@dataclass(frozen=True)
class Release:
    """The release that serves, and since when."""

    services: tuple[ServiceImage, ...]
    host_version: str
    version: int
    since: datetime


class ReleaseError(ValueError):
    """The parameter holds no release; the message says what is wrong."""


class Releases(Protocol):
    """Where the release that serves is written."""

    async def current(self) -> Release | None:
        """The release; None where no parameter is configured.

        Raises botocore's errors or OSError (the parameter cannot be read), or ReleaseError.
        """


class SsmReleases(Releases):
    """The release in an SSM parameter, which is written once a release has proved itself."""

    def __init__(self, parameter: str | None, region: str) -> None:
        self._parameter = parameter
        self._client: SSMClient = boto3.client("ssm", region_name=region, config=CLIENT)

    async def current(self) -> Release | None:
        """Read the parameter, in a thread."""
        if self._parameter is None:
            return None
        answer = await asyncio.to_thread(self._client.get_parameter, Name=self._parameter)
        parameter = answer["Parameter"]
        return read_release(parameter["Value"], parameter["Version"], parameter["LastModifiedDate"])


def read_release(document: str, version: int, since: datetime) -> Release:
    """The release in a document {"services": {name: "repository@digest"}, "hostVersion": ...}; ReleaseError."""
    try:
        fields = json.loads(document)
        images = sorted(fields["services"].items())
        split = [(service, *image.rpartition("@")[::2]) for service, image in images]
        host_version = str(fields.get("hostVersion", "?"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReleaseError(f"the parameter holds no release document ({type(error).__name__})") from error
    return Release(tuple(ServiceImage(*one) for one in split), host_version, version, since)
