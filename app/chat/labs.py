"""One owner's labs, as the chat's tools read them. Whose they are is settled when the object is made."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, case, distinct, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.model import Frozen
from app.common import database
from app.common.names import normalise
from app.common.tables import lab_panels, lab_tests, trends


class Result(Frozen):
    """One result, in its own unit; `against_range` is None where the laboratory gave no range."""

    test_name: str
    value: float
    unit: str
    reference_low: float | None
    reference_high: float | None
    against_range: Literal["below", "inside", "above"] | None
    category: str | None


class DatedResult(Result):
    """A result with its panel: when that was entered (UTC), and for which patient, in the owner's own words."""

    entered_at: datetime
    patient_reference: str


class RecentPanel(Frozen):
    """A panel as it stands, with its results in the order in which they came."""

    entered_at: datetime
    patient_reference: str
    status: str
    results: tuple[Result, ...]


class TrendMonth(Frozen):
    """A test's month (its first day, UTC), in the test's own unit."""

    test_name: str
    unit: str
    category: str | None
    month: datetime
    count: int
    mean: float
    minimum: float
    maximum: float
    latest: float


class CategoryCount(Frozen):
    """A category of the owner's results; None for those that the worker has not come to."""

    category: str | None
    results: int
    different_tests: int
    out_of_range: int
    last_entered_at: datetime


class OwnLabs(Protocol):
    """The labs of one owner, and no one else's.

    Every method gives the newest first, at most `limit`, and may raise one of app.common.database.FAILURES. Names of
    tests match in part and in any case.
    """

    async def recent_panels(self, limit: int) -> Sequence[RecentPanel]:
        """The panels entered last."""

    async def history(self, test_name: str, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        """One test's results."""

    async def out_of_range(self, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        """Results that lie outside the range that the laboratory gave."""

    async def trends(self, test_name: str | None, category: str | None, limit: int) -> Sequence[TrendMonth]:
        """Months, as the background aggregation keeps them, by test."""

    async def categories(self) -> Sequence[CategoryCount]:
        """All categories, the most frequent first."""


BELOW = lab_tests.c.value < lab_tests.c.reference_low
ABOVE = lab_tests.c.value > lab_tests.c.reference_high
OUTSIDE = or_(BELOW, ABOVE)
NO_RANGE = and_(lab_tests.c.reference_low.is_(None), lab_tests.c.reference_high.is_(None))
RESULT: tuple[ColumnElement[Any], ...] = (
    lab_tests.c.name.label("test_name"),
    lab_tests.c.value,
    lab_tests.c.unit,
    lab_tests.c.reference_low,
    lab_tests.c.reference_high,
    case((NO_RANGE, None), (BELOW, "below"), (ABOVE, "above"), else_="inside").label("against_range"),
    lab_tests.c.category,
)


class PostgresLabs(OwnLabs):
    """The labs of `owner_id` in PostgreSQL. Each query begins at that owner's panels."""

    def __init__(self, engine: AsyncEngine, owner_id: UUID) -> None:
        self._reading = database.reading(engine)
        self._owner_id = owner_id

    async def recent_panels(self, limit: int) -> Sequence[RecentPanel]:
        """The newest panels, each with its results."""
        newest = (
            select(lab_panels.c.id, lab_panels.c.created_at, lab_panels.c.patient_reference, lab_panels.c.status)
            .where(lab_panels.c.owner_id == self._owner_id)
            .order_by(lab_panels.c.created_at.desc(), lab_panels.c.id.desc())
            .limit(limit)
        )
        async with self._reading.connect() as connection:
            panels = (await connection.execute(newest)).all()
            rows = await connection.execute(
                select(lab_tests.c.panel_id, *RESULT)
                .where(lab_tests.c.panel_id.in_([panel.id for panel in panels]))
                .order_by(lab_tests.c.panel_id, lab_tests.c.position)
            )
        results: dict[UUID, list[Result]] = {panel.id: [] for panel in panels}
        for row in rows:
            results[row.panel_id].append(Result.model_validate(row, from_attributes=True))
        return [
            RecentPanel(
                entered_at=panel.created_at,
                patient_reference=panel.patient_reference,
                status=panel.status,
                results=tuple(results[panel.id]),
            )
            for panel in panels
        ]

    async def history(self, test_name: str, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        """The results whose name holds `test_name`."""
        named = func.lower(lab_tests.c.name).contains(test_name.lower(), autoescape=True)
        return await self._results(self._dated(patient_reference, limit).where(named))

    async def out_of_range(self, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        """The results on the wrong side of either end."""
        return await self._results(self._dated(patient_reference, limit).where(OUTSIDE))

    async def trends(self, test_name: str | None, category: str | None, limit: int) -> Sequence[TrendMonth]:
        """The owner's rows of the trends."""
        query = (
            select(trends, trends.c.period.label("month"))
            .where(trends.c.owner_id == self._owner_id)
            .order_by(trends.c.test_name, trends.c.unit, trends.c.period.desc())
            .limit(limit)
        )
        if test_name is not None:
            query = query.where(trends.c.test_name.contains(normalise(test_name), autoescape=True))
        if category is not None:
            query = query.where(func.lower(trends.c.category) == category.lower())
        return [TrendMonth.model_validate(row, from_attributes=True) for row in await self._all(query)]

    async def categories(self) -> Sequence[CategoryCount]:
        """Counts over all of the owner's results."""
        results = func.count().label("results")
        query = (
            select(
                lab_tests.c.category,
                results,
                func.count(distinct(func.lower(lab_tests.c.name))).label("different_tests"),
                func.count().filter(OUTSIDE).label("out_of_range"),
                func.max(lab_panels.c.created_at).label("last_entered_at"),
            )
            .join(lab_panels, lab_panels.c.id == lab_tests.c.panel_id)
            .where(lab_panels.c.owner_id == self._owner_id)
            .group_by(lab_tests.c.category)
            .order_by(results.desc(), lab_tests.c.category)
        )
        return [CategoryCount.model_validate(row, from_attributes=True) for row in await self._all(query)]

    def _dated(self, patient_reference: str | None, limit: int) -> Select[Any]:
        query = (
            select(*RESULT, lab_panels.c.created_at.label("entered_at"), lab_panels.c.patient_reference)
            .join(lab_panels, lab_panels.c.id == lab_tests.c.panel_id)
            .where(lab_panels.c.owner_id == self._owner_id)
            .order_by(lab_panels.c.created_at.desc(), lab_panels.c.id.desc(), lab_tests.c.position)
            .limit(limit)
        )
        return query if patient_reference is None else query.where(lab_panels.c.patient_reference == patient_reference)

    async def _results(self, query: Select[Any]) -> Sequence[DatedResult]:
        return [DatedResult.model_validate(row, from_attributes=True) for row in await self._all(query)]

    async def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self._reading.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return rows
