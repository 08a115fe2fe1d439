"""Ask the cloud how deep the queue is, and which releases were verified."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config

from app.common.sqs import DEPTH

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterHistoryTypeDef

# A page waits for them: one try, and the card says what is wrong.
CLIENT = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1, "mode": "standard"})
SHOWN = 3
"""Releases that the page shows."""


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
class ReleasedImage:
    """An image of a release."""

    name: str
    digest: str
    content_tag: str


@dataclass(frozen=True)
class Release:
    """A release that was verified: the host answered with its digests."""

    id: str
    """Empty if it is of before releases were named in the parameter."""
    images: tuple[ReleasedImage, ...]
    since: datetime
    changed: tuple[str, ...] | None = None
    """The images that the release before it had otherwise; None for the very first."""


class ReleaseError(ValueError):
    """The parameter holds no release; the message says what is wrong."""


class Releases(Protocol):
    """The releases that were verified."""

    async def last(self) -> Sequence[Release] | None:
        """Return the last SHOWN releases, the newest first; None if no parameter is configured.

        Raises botocore's errors or OSError (the parameter cannot be read), or ReleaseError.
        """


class SsmReleases(Releases):
    """The releases in the history of an SSM parameter, which every `up` writes once its release is verified."""

    def __init__(self, parameter: str | None, region: str) -> None:
        self._parameter = parameter
        self._client: SSMClient = boto3.client("ssm", region_name=region, config=CLIENT)

    async def last(self) -> Sequence[Release] | None:
        """Read the parameter's history, in a thread."""
        return None if self._parameter is None else await asyncio.to_thread(self._last, self._parameter)

    def _last(self, parameter: str) -> Sequence[Release]:
        # SSM lists the oldest first, and keeps a hundred. One more than is shown, for what the oldest changed.
        kept: deque[ParameterHistoryTypeDef] = deque(maxlen=SHOWN + 1)
        try:
            for page in self._client.get_paginator("get_parameter_history").paginate(Name=parameter):
                kept.extend(page["Parameters"])
        except self._client.exceptions.ParameterNotFound:
            return ()  # the first release serves, and is still to be verified
        return read_releases([(each["Value"], each["LastModifiedDate"]) for each in kept])


def read_releases(history: Sequence[tuple[str, datetime]]) -> Sequence[Release]:
    """Return the last SHOWN releases, the newest first, given all documents with their times, the oldest first.

    Raises ReleaseError.
    """
    releases = [read_release(document, since) for document, since in history]
    for place in range(len(releases) - 1, 0, -1):
        before = {image.name: image.digest for image in releases[place - 1].images}
        changed = tuple(image.name for image in releases[place].images if before.get(image.name) != image.digest)
        releases[place] = replace(releases[place], changed=changed)
    return releases[::-1][:SHOWN]


def read_release(document: str, since: datetime) -> Release:
    """Return the release in a document {"release": id, "images": {name: {"digest", "contentTag"}}}.

    Raises ReleaseError.
    """
    try:
        fields = json.loads(document)
        images = tuple(
            ReleasedImage(name, str(entry["digest"]), str(entry["contentTag"]))
            for name, entry in sorted(fields["images"].items())
        )
        return Release(str(fields.get("release", "")), images, since)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReleaseError(f"the parameter holds no verified release ({type(error).__name__})") from error
