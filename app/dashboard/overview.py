"""All that the page shows, read side by side. What cannot be read is a reason in its place."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from app.common.database import brief
from app.dashboard.cloud import Depth, Queue, Release, ReleaseError, Releases
from app.dashboard.records import CategoryMonth, CategoryTotal, Failure, Hour, Jobs, Records, TrendLine, Worker

T = TypeVar("T")
log = logging.getLogger(__name__)

PART_TIMEOUT_SECONDS = 4.0


@dataclass(frozen=True)
class Part(Generic[T]):
    """One part of the page: what was read, or why it was not."""

    value: T | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Overview:
    """The page's content at a moment."""

    at: datetime
    jobs: Part[Jobs]
    hours: Part[Sequence[Hour]]
    failures: Part[Sequence[Failure]]
    workers: Part[Sequence[Worker]]
    categories: Part[Sequence[CategoryTotal]]
    months: Part[Sequence[CategoryMonth]]
    tests: Part[Sequence[TrendLine]]
    queue: Part[Depth]
    releases: Part[Sequence[Release] | None]
    cache_milliseconds: Part[float]
    database_milliseconds: float


async def look(
    records: Records, queue: Queue, releases: Releases, check_cache: Callable[[], Awaitable[None]]
) -> Overview:
    """Everything at once. One of app.common.database.FAILURES where the database is away: nothing is worth showing."""
    # These two are timed before the page keeps the process busy with all the rest.
    database_milliseconds = await timed(records.check())
    cache_milliseconds = await part(timed(check_cache()), "Redis cannot be reached; everything takes longer")
    async with asyncio.TaskGroup() as group:
        # A database that answers may still be too slow for one of these.
        jobs = group.create_task(part(records.jobs(), "The jobs cannot be counted"))
        hours = group.create_task(part(records.hours(), "The last hours cannot be read"))
        failures = group.create_task(part(records.failures(), "The failures cannot be read"))
        workers = group.create_task(part(records.workers(), "The workers cannot be read"))
        categories = group.create_task(part(records.categories(), "The categories cannot be counted"))
        months = group.create_task(part(records.months(), "The trends cannot be read"))
        tests = group.create_task(part(records.tests(), "The trends cannot be read"))
        depth = group.create_task(part(queue.depth(), "The queue cannot be reached"))
        last = group.create_task(part(releases.last(), "The release cannot be read"))
    return Overview(
        at=datetime.now(UTC),
        jobs=jobs.result(),
        hours=hours.result(),
        failures=failures.result(),
        workers=workers.result(),
        categories=categories.result(),
        months=months.result(),
        tests=tests.result(),
        queue=depth.result(),
        releases=last.result(),
        cache_milliseconds=cache_milliseconds,
        database_milliseconds=database_milliseconds,
    )


async def part(work: Awaitable[T], otherwise: str) -> Part[T]:
    """What `work` gives, or the sentence `otherwise` with the reason."""
    try:
        return Part(await asyncio.wait_for(work, PART_TIMEOUT_SECONDS))
    except TimeoutError:
        reason = f"no answer within {PART_TIMEOUT_SECONDS:g} s"
    except ReleaseError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - one part that fails does not take the others with it
        reason = brief(error)
    log.warning("a part of the page is missing", extra={"part": otherwise, "reason": reason})
    return Part(reason=f"{otherwise}: {reason.rstrip('.')}.")


async def timed(work: Awaitable[None]) -> float:
    """Milliseconds that `work` takes."""
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1000
