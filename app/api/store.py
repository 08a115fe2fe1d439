"""Panels, reports, jobs and trends in PostgreSQL."""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import ColumnElement, RowMapping, Select, Table, delete, func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.api.pages import Page, Place
from app.api.schemas import (
    CategorisedTest,
    Entity,
    JobView,
    NewPanel,
    NewReport,
    Panel,
    Period,
    ReferenceRange,
    Report,
    ReportHead,
    Trend,
    Trends,
)
from app.common.identity import Identity
from app.common.jobs import Job
from app.common.tables import (
    CATEGORISE,
    EXTRACT,
    idempotency_keys,
    jobs,
    lab_panels,
    lab_tests,
    report_entities,
    reports,
    trends,
)

KEYS_KEPT_HOURS = 24
"""How long a request may be repeated under its Idempotency-Key."""
MAX_TREND_ROWS = 5000
"""Months of tests in one answer: 50 tests over eight years."""

Send = Callable[[Sequence[Job]], Awaitable[set[UUID]]]


class KeyReused(ValueError):  # noqa: N818 - a refusal
    """An Idempotency-Key came before, with another request."""


class Store(Protocol):
    """Where everything is kept. Every method may raise one of app.common.database.FAILURES: the database is away.

    The lists hold what an identity may see: what is its own, or all for an operator. The single things do not ask who
    wants them; the routes do.
    """

    async def add_panel(self, owner: UUID, panel: NewPanel, key: str | None) -> UUID:
        """Store a panel and its job; its id. The same `key` again stores nothing and gives the same id; KeyReused where
        it came with another request."""

    async def add_report(self, owner: UUID, report: NewReport, key: str | None) -> UUID:
        """The same for a report."""

    async def panel(self, panel_id: UUID) -> Panel | None:
        """A panel as it stands; None where there is no such panel."""

    async def panels(self, viewer: Identity, page: Page) -> list[Panel]:
        """A page of panels, the newest first."""

    async def report(self, report_id: UUID) -> Report | None:
        """A report as it stands; None where there is no such report."""

    async def reports(self, viewer: Identity, page: Page) -> list[ReportHead]:
        """A page of reports, the newest first."""

    async def job(self, job_id: UUID) -> JobView | None:
        """A job; None where there is no such job."""

    async def jobs(self, viewer: Identity, status: str | None, page: Page) -> list[JobView]:
        """A page of jobs, of one status or of all, the newest first."""

    async def trends(self, viewer: Identity, test_name: str | None, category: str | None) -> Trends:
        """Trends, of one test or category or of all."""

    async def send_unsent(self, limit: int, send: Send) -> int:
        """Give jobs that are not in the queue to `send`, the oldest first; note and count what it took."""

    async def sweep(self) -> int:
        """Forget keys that are older than KEYS_KEPT_HOURS; their number."""

    async def check(self) -> None:
        """Return if the database answers; raise what is wrong otherwise."""


class PostgresStore:
    """The store behind the running API."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add_panel(self, owner: UUID, panel: NewPanel, key: str | None) -> UUID:
        """Panel, tests, job and key in one transaction."""
        panel_id = uuid4()
        async with self._engine.begin() as connection:
            made = await claim(connection, owner, key, fingerprint("/labs", panel), panel_id)
            if made != panel_id:
                return made
            await connection.execute(
                insert(lab_panels).values(id=panel_id, owner_id=owner, patient_reference=panel.patient_reference)
            )
            await connection.execute(
                insert(lab_tests),
                [
                    {
                        "panel_id": panel_id,
                        "position": position,
                        "name": test.name,
                        "value": test.value,
                        "unit": test.unit,
                        "reference_low": test.reference_range and test.reference_range.low,
                        "reference_high": test.reference_range and test.reference_range.high,
                    }
                    for position, test in enumerate(panel.tests)
                ],
            )
            await connection.execute(
                insert(jobs).values(id=uuid4(), kind=CATEGORISE, owner_id=owner, panel_id=panel_id)
            )
        return panel_id

    async def add_report(self, owner: UUID, report: NewReport, key: str | None) -> UUID:
        """Report, job and key in one transaction."""
        report_id = uuid4()
        async with self._engine.begin() as connection:
            made = await claim(connection, owner, key, fingerprint("/reports", report), report_id)
            if made != report_id:
                return made
            await connection.execute(
                insert(reports).values(
                    id=report_id, owner_id=owner, patient_reference=report.patient_reference, body=report.body
                )
            )
            await connection.execute(insert(jobs).values(id=uuid4(), kind=EXTRACT, owner_id=owner, report_id=report_id))
        return report_id

    async def panel(self, panel_id: UUID) -> Panel | None:
        """The panel with its tests, in the order in which they came."""
        async with self._engine.connect() as connection:
            found = await self._panels(connection, select(lab_panels).where(lab_panels.c.id == panel_id))
        return found[0] if found else None

    async def panels(self, viewer: Identity, page: Page) -> list[Panel]:
        """Two queries, however many panels."""
        async with self._engine.connect() as connection:
            return await self._panels(connection, listed(lab_panels, viewer, page))

    async def _panels(self, connection: AsyncConnection, query: Select[Any]) -> list[Panel]:
        panels = (await connection.execute(query)).mappings().all()
        tests: dict[UUID, list[CategorisedTest]] = defaultdict(list)
        if panels:
            rows = await connection.execute(
                select(lab_tests)
                .where(lab_tests.c.panel_id.in_([panel["id"] for panel in panels]))
                .order_by(lab_tests.c.panel_id, lab_tests.c.position)
            )
            for row in rows.mappings():
                tests[row["panel_id"]].append(categorised_test(row))
        return [Panel(**fields(Panel, panel), tests=tests[panel["id"]]) for panel in panels]

    async def report(self, report_id: UUID) -> Report | None:
        """The report with what was found in it, in the order of its text."""
        async with self._engine.connect() as connection:
            report = (await connection.execute(select(reports).where(reports.c.id == report_id))).mappings().first()
            if report is None:
                return None
            rows = await connection.execute(
                select(report_entities)
                .where(report_entities.c.report_id == report_id)
                .order_by(report_entities.c.position)
            )
            entities = [Entity(**fields(Entity, row)) for row in rows.mappings()]
        return Report(**fields(Report, report), entities=entities)

    async def reports(self, viewer: Identity, page: Page) -> list[ReportHead]:
        """Without their text."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(listed(reports, viewer, page))
            return [ReportHead(**fields(ReportHead, row)) for row in rows.mappings()]

    async def job(self, job_id: UUID) -> JobView | None:
        """One row."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).mappings().first()
        return JobView(**fields(JobView, row)) if row else None

    async def jobs(self, viewer: Identity, status: str | None, page: Page) -> list[JobView]:
        """One query."""
        query = listed(jobs, viewer, page)
        if status is not None:
            query = query.where(jobs.c.status == status)
        async with self._engine.connect() as connection:
            return [JobView(**fields(JobView, row)) for row in (await connection.execute(query)).mappings()]

    async def trends(self, viewer: Identity, test_name: str | None, category: str | None) -> Trends:
        """The newest months first out of the database, so that what is cut off is the oldest."""
        query = select(trends).where(*owned(trends, viewer)).order_by(trends.c.period.desc()).limit(MAX_TREND_ROWS + 1)
        if test_name is not None:
            query = query.where(trends.c.test_name == " ".join(test_name.split()).lower())
        if category is not None:
            query = query.where(trends.c.category == category)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return grouped(rows[:MAX_TREND_ROWS], truncated=len(rows) > MAX_TREND_ROWS)

    async def send_unsent(self, limit: int, send: Send) -> int:
        """The rows are locked while `send` runs, and skipped by whoever else sends."""
        query = (
            select(jobs.c.kind, jobs.c.id)
            .where(jobs.c.sent_at.is_(None), jobs.c.status == "queued")
            .order_by(jobs.c.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._engine.begin() as connection:
            waiting = [Job(kind, job_id) for kind, job_id in await connection.execute(query)]
            if not waiting:
                return 0
            taken = await send(waiting)
            await connection.execute(update(jobs).where(jobs.c.id.in_(taken)).values(sent_at=func.now()))
        return len(taken)

    async def sweep(self) -> int:
        """One statement."""
        age = func.now() - idempotency_keys.c.created_at
        query = delete(idempotency_keys).where(age > func.make_interval(0, 0, 0, 0, KEYS_KEPT_HOURS))
        async with self._engine.begin() as connection:
            return (await connection.execute(query)).rowcount

    async def check(self) -> None:
        """Ask the smallest question."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))


async def claim(connection: AsyncConnection, owner: UUID, key: str | None, request: bytes, made_id: UUID) -> UUID:
    """What a key stands for from now on: `made_id` where it is new, and what it made then where it is not.

    Of two at once the primary key lets one through; the other waits here until that one's transaction is over.
    """
    if key is None:
        return made_id
    claimed = await connection.execute(
        insert_or_not(idempotency_keys)
        .values(owner_id=owner, key=key, request_sha256=request, made_id=made_id)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.made_id)
    )
    if claimed.first() is not None:
        return made_id
    before = (
        await connection.execute(
            select(idempotency_keys.c.request_sha256, idempotency_keys.c.made_id).where(
                idempotency_keys.c.owner_id == owner, idempotency_keys.c.key == key
            )
        )
    ).one()
    if before.request_sha256 != request:
        raise KeyReused("This Idempotency-Key came before with another request; use a new one for each request.")
    made: UUID = before.made_id
    return made


def fingerprint(route: str, request: BaseModel) -> bytes:
    """What tells two requests apart (SHA-256, 32 bytes): not their spaces, nor the order of their fields."""
    return hashlib.sha256(f"{route}\n{request.model_dump_json()}".encode()).digest()


def owned(table: Table, viewer: Identity) -> list[ColumnElement[bool]]:
    """The condition for what an identity may see."""
    return [] if viewer.is_operator else [table.c.owner_id == viewer.user_id]


def listed(table: Table, viewer: Identity, page: Page) -> Select[Any]:
    """A page of what an identity may see, the newest first."""
    query = select(table).where(*owned(table, viewer)).order_by(table.c.created_at.desc(), table.c.id.desc())
    if page.after is not None:
        query = query.where(tuple_(table.c.created_at, table.c.id) < (page.after.created_at, page.after.id))
    return query.limit(page.limit)


def place(thing: Panel | ReportHead | JobView) -> Place:
    """Where a thing is in its list."""
    return Place(thing.created_at, thing.id)


def fields(model: type[BaseModel], row: RowMapping) -> dict[str, Any]:
    """The columns of a row that a model has."""
    return {name: row[name] for name in model.model_fields if name in row}


def categorised_test(row: RowMapping) -> CategorisedTest:
    """A test out of its row."""
    low, high = row["reference_low"], row["reference_high"]
    return CategorisedTest(
        **fields(CategorisedTest, row),
        reference_range=None if low is None and high is None else ReferenceRange(low=low, high=high),
    )


def grouped(rows: Sequence[RowMapping], *, truncated: bool) -> Trends:
    """Trends out of their months, by test and unit."""
    groups: dict[tuple[str, str, UUID], list[RowMapping]] = defaultdict(list)
    for row in rows:
        groups[row["test_name"], row["unit"], row["owner_id"]].append(row)
    items = [
        Trend(
            **fields(Trend, months[0]),  # the newest month has the category that holds now
            periods=[Period(**fields(Period, month)) for month in reversed(months)],
        )
        for _, months in sorted(groups.items())
    ]
    return Trends(items=items, truncated=truncated)
