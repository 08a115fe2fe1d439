"""What the database knows that an operator wants to see, added up over all accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.common import database
from app.common.tables import DONE, FAILED, QUEUED, jobs, lab_tests, trends, workers

# A worker says that it is there every 10 s.
ALIVE_SECONDS = 30
LATE_SECONDS = 120
REMEMBERED_HOURS = 24
FAILURES = 10
WORKERS = 20
MONTHS = 12
TESTS = 6


@dataclass(frozen=True)
class JobCounts:
    """The jobs of one kind by state."""

    kind: str
    queued: int
    done: int
    failed: int


@dataclass(frozen=True)
class Jobs:
    """All jobs there are; `unsent` of those queued wait for the queue itself."""

    kinds: tuple[JobCounts, ...]
    unsent: int
    oldest_waits_seconds: float | None

    @property
    def queued(self) -> int:
        """Jobs that wait or run."""
        return sum(counts.queued for counts in self.kinds)


@dataclass(frozen=True)
class Hour:
    """Jobs that ended in the hour that begins at `begins_at` (UTC)."""

    begins_at: datetime
    done: int
    failed: int


@dataclass(frozen=True)
class Failure:
    """A job that failed for good."""

    job_id: UUID
    kind: str
    reason: str
    deliveries: int
    failed_at: datetime | None


@dataclass(frozen=True)
class Worker:
    """A worker that was seen within REMEMBERED_HOURS, by the database's clock."""

    id: str
    model: str
    jobs_done: int
    started_at: datetime
    seen_seconds_ago: float

    @property
    def state(self) -> Literal["alive", "late", "gone"]:
        """Whether it still says that it is there."""
        if self.seen_seconds_ago <= ALIVE_SECONDS:
            return "alive"
        return "late" if self.seen_seconds_ago <= LATE_SECONDS else "gone"


@dataclass(frozen=True)
class CategoryTotal:
    """How many results have a category; None for those that have none yet."""

    category: str | None
    results: int


@dataclass(frozen=True)
class CategoryMonth:
    """How many results of a category came in a month (its first day, UTC)."""

    month: datetime
    category: str
    results: int


@dataclass(frozen=True)
class TrendLine:
    """The monthly means of one test in one unit, the oldest first."""

    test_name: str
    unit: str
    results: int
    means: tuple[tuple[datetime, float], ...]


class Records(Protocol):
    """What is read for the page. Every method may raise one of app.common.database.FAILURES."""

    async def check(self) -> None:
        """Return if the database answers; raise what is wrong otherwise."""

    async def jobs(self) -> Jobs:
        """All jobs by kind and state."""

    async def hours(self) -> Sequence[Hour]:
        """The last REMEMBERED_HOURS, the oldest first, hours without a job among them."""

    async def failures(self) -> Sequence[Failure]:
        """The last FAILURES that failed, the newest first."""

    async def workers(self) -> Sequence[Worker]:
        """The workers seen lately, the latest first."""

    async def categories(self) -> Sequence[CategoryTotal]:
        """Results by category, the most frequent first."""

    async def months(self) -> Sequence[CategoryMonth]:
        """Results by month and category over the last MONTHS, the oldest first."""

    async def tests(self) -> Sequence[TrendLine]:
        """The TESTS that are measured most over the last MONTHS."""


class PostgresRecords(Records):
    """The records in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._reading = database.reading(engine)

    async def check(self) -> None:
        """Ask the smallest question."""
        await self._all(select(text("1")))

    async def jobs(self) -> Jobs:
        """Counts, and the age of the oldest that waits."""
        counts = select(jobs.c.kind, jobs.c.status, func.count().label("total")).group_by(jobs.c.kind, jobs.c.status)
        waiting = select(
            func.count().filter(jobs.c.sent_at.is_(None)).label("unsent"),
            seconds_since(func.min(jobs.c.created_at)).label("oldest"),
        ).where(jobs.c.status == QUEUED)
        by_kind: dict[str, dict[str, int]] = {}
        for row in await self._all(counts):
            by_kind.setdefault(row.kind, {})[row.status] = row.total
        (waits,) = await self._all(waiting)
        kinds = tuple(
            JobCounts(kind, *(by_kind[kind].get(status, 0) for status in (QUEUED, DONE, FAILED)))
            for kind in sorted(by_kind)
        )
        return Jobs(kinds, waits.unsent, None if waits.oldest is None else float(waits.oldest))

    async def hours(self) -> Sequence[Hour]:
        """One row an hour, from the clock of the database."""
        hour = func.date_trunc("hour", jobs.c.finished_at, "UTC")
        begin = func.date_trunc("hour", func.now(), "UTC") - func.make_interval(0, 0, 0, 0, REMEMBERED_HOURS - 1)
        ended = (
            select(
                hour.label("hour"),
                func.count().filter(jobs.c.status == DONE).label("done"),
                func.count().filter(jobs.c.status == FAILED).label("failed"),
            )
            .where(jobs.c.finished_at >= begin)
            .group_by(hour)
            .subquery()
        )
        every = (
            func.generate_series(begin, func.now(), func.make_interval(0, 0, 0, 0, 1))
            .table_valued("begins_at")
            .render_derived()
        )
        query = (
            select(every.c.begins_at, func.coalesce(ended.c.done, 0), func.coalesce(ended.c.failed, 0))
            .join_from(every, ended, ended.c.hour == every.c.begins_at, isouter=True)
            .order_by(every.c.begins_at)
        )
        return [Hour(*row) for row in await self._all(query)]

    async def failures(self) -> Sequence[Failure]:
        """The end of the list of failed jobs."""
        query = (
            select(jobs.c.id, jobs.c.kind, func.coalesce(jobs.c.reason, ""), jobs.c.deliveries, jobs.c.finished_at)
            .where(jobs.c.status == FAILED)
            .order_by(func.coalesce(jobs.c.finished_at, jobs.c.created_at).desc(), jobs.c.id)
            .limit(FAILURES)
        )
        return [Failure(*row) for row in await self._all(query)]

    async def workers(self) -> Sequence[Worker]:
        """Rows that are not older than what is remembered."""
        query = (
            select(
                workers.c.id,
                workers.c.model,
                workers.c.jobs_done,
                workers.c.started_at,
                seconds_since(workers.c.seen_at).label("seconds"),
            )
            .where(workers.c.seen_at > func.now() - func.make_interval(0, 0, 0, 0, REMEMBERED_HOURS))
            .order_by(workers.c.seen_at.desc(), workers.c.id)
            .limit(WORKERS)
        )
        return [
            Worker(row.id, row.model, row.jobs_done, row.started_at, float(row.seconds))
            for row in await self._all(query)
        ]

    async def categories(self) -> Sequence[CategoryTotal]:
        """Counts over all results."""
        count = func.count().label("results")
        query = select(lab_tests.c.category, count).group_by(lab_tests.c.category).order_by(count.desc(), "category")
        return [CategoryTotal(*row) for row in await self._all(query)]

    async def months(self) -> Sequence[CategoryMonth]:
        """Sums over the owners' trends."""
        category = func.coalesce(trends.c.category, "unknown").label("category")
        query = (
            select(trends.c.period, category, func.sum(trends.c.count))
            .where(trends.c.period >= since())
            .group_by(trends.c.period, category)
            .order_by(trends.c.period, category)
        )
        return [CategoryMonth(*row) for row in await self._all(query)]

    async def tests(self) -> Sequence[TrendLine]:
        """Means of the owners' means, each with the weight of its count."""
        results = func.sum(trends.c.count).label("results")
        most = (
            select(trends.c.test_name, trends.c.unit, results)
            .where(trends.c.period >= since())
            .group_by(trends.c.test_name, trends.c.unit)
            .order_by(results.desc(), trends.c.test_name, trends.c.unit)
            .limit(TESTS)
            .subquery()
        )
        mean = func.sum(trends.c.mean * trends.c.count) / func.sum(trends.c.count)
        query = (
            select(most, trends.c.period, mean.label("mean"))
            .join(trends, (trends.c.test_name == most.c.test_name) & (trends.c.unit == most.c.unit))
            .where(trends.c.period >= since(), trends.c.count > 0)
            .group_by(*most.c, trends.c.period)
            .order_by(most.c.results.desc(), most.c.test_name, most.c.unit, trends.c.period)
        )
        means: dict[tuple[str, str, int], list[tuple[datetime, float]]] = {}
        for row in await self._all(query):
            means.setdefault((row.test_name, row.unit, row.results), []).append((row.period, row.mean))
        return [TrendLine(*test, tuple(points)) for test, points in means.items()]

    async def _all(self, query: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
        async with self._reading.connect() as connection:
            return (await connection.execute(query)).all()


def seconds_since(moment: Any) -> Any:
    """How long ago a moment was, by the database's clock."""
    return func.extract("epoch", func.now() - moment)


def since() -> Any:
    """The first day of the oldest month that is shown."""
    return func.date_trunc("month", func.now(), "UTC") - func.make_interval(0, MONTHS - 1)
