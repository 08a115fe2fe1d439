"""Panels, reports, jobs and trends in PostgreSQL."""

import asyncio
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    RowMapping,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.api.pages import Page, Place
from app.api.schemas import (
    MAX_NAME,
    CategorisedTest,
    Entity,
    JobView,
    NewPanel,
    NewReport,
    Panel,
    PanelHead,
    Period,
    ReferenceRange,
    Report,
    ReportHead,
    Trend,
    Trends,
)
from app.common import database
from app.common.identity import Identity
from app.common.jobs import Job
from app.common.names import normalise
from app.common.tables import (
    CATEGORISE,
    EXTRACT,
    FAILED,
    QUEUED,
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

MOST_SENDS = 5
"""A job whose message was lost so often, each time before the worker took it down, is given up."""
NO_RESULT = "no result came of it, however often it was tried"

HEAVY_AT_ONCE = 2
"""Long lists that are read at once; the others wait for them, not for the connections of the pool."""

Send = Callable[[Sequence[Job]], Awaitable[set[UUID]]]


class KeyReused(ValueError):  # noqa: N818 - a refusal
    """An Idempotency-Key came before, with another request."""


@dataclass(frozen=True)
class Once:
    """An Idempotency-Key, and the fingerprint of the request that came with it."""

    key: str
    request: bytes


@dataclass(frozen=True)
class Lost:
    """How many jobs without a message are to be sent again (`unsent`), and how many were given up (`failed`)."""

    unsent: int
    failed: int


class Store(Protocol):
    """Where everything is kept. Every method may raise one of app.common.database.FAILURES: the database is away.

    The lists hold what an identity may see: what is its own, or all for an operator. The single things do not ask who
    wants them; the routes do.
    """

    async def add_panel(self, owner: UUID, panel: NewPanel, once: Once | None) -> UUID:
        """Store a panel and its job; its id. The same key again stores nothing and gives the same id; KeyReused where
        it came with another request."""

    async def add_report(self, owner: UUID, report: NewReport, once: Once | None) -> UUID:
        """The same for a report."""

    async def panel(self, panel_id: UUID) -> Panel | None:
        """A panel as it stands; None where there is no such panel."""

    async def panels(self, viewer: Identity, page: Page) -> list[PanelHead]:
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

    async def recover_lost(self, sent_seconds_ago: int, most_deliveries: int | None) -> Lost:
        """Have jobs that still wait, and were sent so long ago or longer, sent again; give up those of them that were
        sent MOST_SENDS times, or that the worker took `most_deliveries` times (None: for ever)."""

    async def sweep(self) -> int:
        """Forget keys that are older than KEYS_KEPT_HOURS; their number."""

    async def check(self) -> None:
        """Return if the database answers; raise what is wrong otherwise."""


class PostgresStore:
    """The store behind the running API."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = database.reading(engine)
        self._heavy = asyncio.Semaphore(HEAVY_AT_ONCE)

    async def add_panel(self, owner: UUID, panel: NewPanel, once: Once | None) -> UUID:
        """Panel, tests, job and key in one transaction."""
        panel_id = uuid4()
        async with self._engine.begin() as connection:
            made = await claim(connection, owner, once, before_bodies("/labs", panel), panel_id)
            if made != panel_id:
                return made
            row = {"id": panel_id, "owner_id": owner, "patient_reference": panel.patient_reference}
            await connection.execute(insert(lab_panels), row)
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
            job = {"id": uuid4(), "kind": CATEGORISE, "owner_id": owner, "panel_id": panel_id}
            await connection.execute(insert(jobs), job)
        return panel_id

    async def add_report(self, owner: UUID, report: NewReport, once: Once | None) -> UUID:
        """Report, job and key in one transaction."""
        report_id = uuid4()
        async with self._engine.begin() as connection:
            made = await claim(connection, owner, once, before_bodies("/reports", report), report_id)
            if made != report_id:
                return made
            row = {"id": report_id, "owner_id": owner, **report.model_dump()}
            await connection.execute(insert(reports), row)
            job = {"id": uuid4(), "kind": EXTRACT, "owner_id": owner, "report_id": report_id}
            await connection.execute(insert(jobs), job)
        return report_id

    async def panel(self, panel_id: UUID) -> Panel | None:
        """The panel with its tests, in the order in which they came."""
        async with self._reading.connect() as connection:
            rows = (await connection.execute(panel_query(), {"id": panel_id})).mappings().all()
        if not rows:
            return None
        tests = [categorised_test(row) for row in rows if row["test_panel_id"] is not None]
        return Panel(**fields(Panel, rows[0]), tests=tests)

    async def panels(self, viewer: Identity, page: Page) -> list[PanelHead]:
        """With their tests counted: a hundred full panels are 10,000 tests."""
        async with self._heavy, self._reading.connect() as connection:
            rows = await connection.execute(panels_query(asks_for(viewer, page)), values(viewer, page))
            return [PanelHead(**fields(PanelHead, row)) for row in rows.mappings()]

    async def report(self, report_id: UUID) -> Report | None:
        """The report with what was found in it, in the order of its text."""
        async with self._reading.connect() as connection:
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
        async with self._reading.connect() as connection:
            rows = await connection.execute(listed(reports, asks_for(viewer, page)), values(viewer, page))
            return [ReportHead(**fields(ReportHead, row)) for row in rows.mappings()]

    async def job(self, job_id: UUID) -> JobView | None:
        """One row."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).mappings().first()
        return JobView(**fields(JobView, row)) if row else None

    async def jobs(self, viewer: Identity, status: str | None, page: Page) -> list[JobView]:
        """One query."""
        query = listed(jobs, asks_for(viewer, page, status))
        async with self._reading.connect() as connection:
            rows = await connection.execute(query, values(viewer, page, status))
            return [JobView(**fields(JobView, row)) for row in rows.mappings()]

    async def trends(self, viewer: Identity, test_name: str | None, category: str | None) -> Trends:
        """The newest months first out of the database, so that what is cut off is the oldest."""
        query = select(trends).where(*owned(trends, viewer)).order_by(trends.c.period.desc()).limit(MAX_TREND_ROWS + 1)
        if test_name is not None:
            query = query.where(trends.c.test_name == normalise(test_name)[:MAX_NAME])
        if category is not None:
            query = query.where(trends.c.category == category)
        async with self._heavy, self._reading.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return grouped(rows[:MAX_TREND_ROWS], truncated=len(rows) > MAX_TREND_ROWS)

    async def send_unsent(self, limit: int, send: Send) -> int:
        """The rows are locked while `send` runs, and skipped by whoever else sends."""
        query = (
            select(jobs.c.kind, jobs.c.id)
            .where(jobs.c.sent_at.is_(None), jobs.c.status == QUEUED)
            .order_by(jobs.c.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._engine.begin() as connection:
            waiting = [Job(kind, job_id) for kind, job_id in await connection.execute(query)]
            if not waiting:
                return 0
            taken = await send(waiting)
            sent = {"sent_at": func.now(), "sends": jobs.c.sends + 1}
            await connection.execute(update(jobs).where(jobs.c.id.in_(taken)).values(sent))
        return len(taken)

    async def recover_lost(self, sent_seconds_ago: int, most_deliveries: int | None) -> Lost:
        """One transaction. What is given up fails with what it is about."""
        lost = (jobs.c.status == QUEUED, jobs.c.sent_at < func.now() - timedelta(seconds=sent_seconds_ago))
        async with self._engine.begin() as connection:
            failed = await give_up(connection, lost, most_deliveries)
            unsent = (await connection.execute(update(jobs).where(*lost).values(sent_at=None))).rowcount
        return Lost(unsent, failed)

    async def sweep(self) -> int:
        """One statement."""
        age = func.now() - idempotency_keys.c.created_at
        query = delete(idempotency_keys).where(age > func.make_interval(0, 0, 0, 0, KEYS_KEPT_HOURS))
        async with self._engine.begin() as connection:
            return (await connection.execute(query)).rowcount

    async def check(self) -> None:
        """Ask the smallest question."""
        async with self._reading.connect() as connection:
            await connection.execute(text("SELECT 1"))


async def give_up(connection: AsyncConnection, lost: Sequence[ColumnElement[bool]], most_deliveries: int | None) -> int:
    """Fail those of the lost jobs that were tried often enough, with what they are about; their number."""
    failed = {"status": FAILED, "reason": NO_RESULT, "finished_at": func.now()}
    tried = jobs.c.sends >= MOST_SENDS
    if most_deliveries is not None:
        tried |= jobs.c.deliveries >= most_deliveries
    query = update(jobs).where(*lost, tried).values(failed).returning(jobs.c.panel_id, jobs.c.report_id)
    rows = (await connection.execute(query)).all()
    for table, ids in ((lab_panels, [row.panel_id for row in rows]), (reports, [row.report_id for row in rows])):
        await connection.execute(update(table).where(table.c.id.in_(ids), table.c.status == QUEUED).values(failed))
    return len(rows)


async def claim(connection: AsyncConnection, owner: UUID, once: Once | None, old: bytes, made_id: UUID) -> UUID:
    """What a key stands for from now on: `made_id` where it is new, and what it made then where it is not.

    `old` is what v0.1.0 told the request by.

    Of two at once the primary key lets one through; the other waits here until that one's transaction is over.
    """
    if once is None:
        return made_id
    claimed = await connection.execute(
        insert_or_not(idempotency_keys)
        .values(owner_id=owner, key=once.key, request_sha256=once.request, made_id=made_id)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.made_id)
    )
    if claimed.first() is not None:
        return made_id
    before = (
        await connection.execute(
            select(idempotency_keys.c.request_sha256, idempotency_keys.c.made_id).where(
                idempotency_keys.c.owner_id == owner, idempotency_keys.c.key == once.key
            )
        )
    ).one()
    if before.request_sha256 not in (once.request, old):
        raise KeyReused("This Idempotency-Key came before with another request; use a new one for each request.")
    made: UUID = before.made_id
    return made


def fingerprint(route: str, body: bytes) -> bytes:
    """Return the SHA-256 that tells two requests apart: neither spaces nor the order of fields count.

    Of the body as it was sent, not of what this release understands of it: another release may know one more field.
    """
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{route}\n{canonical}".encode()).digest()


def before_bodies(route: str, request: BaseModel) -> bytes:
    """Return the hash of v0.1.0: a client may repeat a request across the release that follows it."""
    return hashlib.sha256(f"{route}\n{request.model_dump_json()}".encode()).digest()


def owned(table: Table, viewer: Identity) -> list[ColumnElement[bool]]:
    """The condition for what an identity may see."""
    return [] if viewer.is_operator else [table.c.owner_id == viewer.user_id]


# What a list is narrowed down by. There are few such sets, and putting a query together takes longer than running it:
# each is put together once, with names in place of values.
Conditions = frozenset[str]


def asks_for(viewer: Identity, page: Page, status: str | None = None) -> Conditions:
    """By what a list is narrowed down: `owner` for all but an operator, `after` a place, `status`."""
    asked = {"owner": not viewer.is_operator, "after": page.after is not None, "status": status is not None}
    return frozenset(name for name in asked if asked[name])


def values(viewer: Identity, page: Page, status: str | None = None) -> dict[str, Any]:
    """The values for the names in `listed`; those that it does not have are not used."""
    given = {"owner": viewer.user_id, "limit": page.limit, "status": status}
    after = {"after_time": page.after.created_at, "after_id": page.after.id} if page.after else {}
    conditions = asks_for(viewer, page, status)
    return {name: value for name, value in given.items() if name in (*conditions, "limit")} | after


@functools.cache
def listed(table: Table, conditions: Conditions) -> Select[Any]:
    """A page of a table, the newest first."""
    query = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(bindparam("limit"))
    if "owner" in conditions:
        query = query.where(table.c.owner_id == bindparam("owner"))
    if "status" in conditions:
        query = query.where(table.c.status == bindparam("status"))
    if "after" in conditions:
        place = tuple_(bindparam("after_time", type_=table.c.created_at.type), bindparam("after_id", type_=Uuid()))
        query = query.where(tuple_(table.c.created_at, table.c.id) < place)
    return query


@functools.cache
def panels_query(conditions: Conditions) -> Select[Any]:
    """A page of panels with what is counted of their tests, in one query."""
    panel = listed(lab_panels, conditions).subquery()
    outside = or_(lab_tests.c.value < lab_tests.c.reference_low, lab_tests.c.value > lab_tests.c.reference_high)
    categories = func.array_agg(lab_tests.c.category.distinct()).filter(lab_tests.c.category.is_not(None))
    counted = (
        select(
            func.count().label("test_count"),
            func.count().filter(outside).label("out_of_range"),
            func.coalesce(categories, literal([], ARRAY(Text))).label("categories"),
        )
        .where(lab_tests.c.panel_id == panel.c.id)
        .lateral()
    )
    return (
        select(panel, counted).join_from(panel, counted, true()).order_by(panel.c.created_at.desc(), panel.c.id.desc())
    )


@functools.cache
def panel_query() -> Select[Any]:
    """One panel with its tests."""
    return (
        select(lab_panels, *TEST_COLUMNS)
        .join_from(lab_panels, lab_tests, isouter=True)
        .where(lab_panels.c.id == bindparam("id"))
        .order_by(lab_tests.c.position)
    )


TEST_COLUMNS = [column.label(f"test_{column.name}") for column in lab_tests.c]


def place(thing: PanelHead | ReportHead | JobView) -> Place:
    """Where a thing is in its list."""
    return Place(thing.created_at, thing.id)


def fields(model: type[BaseModel], row: RowMapping) -> dict[str, Any]:
    """The columns of a row that a model has."""
    return {name: row[name] for name in model.model_fields if name in row}


def categorised_test(row: RowMapping) -> CategorisedTest:
    """A test out of its row, whose columns begin with `test_`."""
    low, high = row["test_reference_low"], row["test_reference_high"]
    return CategorisedTest(
        name=row["test_name"],
        value=row["test_value"],
        unit=row["test_unit"],
        reference_range=None if low is None and high is None else ReferenceRange(low=low, high=high),
        category=row["test_category"],
        confidence=row["test_confidence"],
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
