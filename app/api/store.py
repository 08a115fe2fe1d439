"""The panels in PostgreSQL."""

from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas import CategorisedTest, NewPanel, Panel, ReferenceRange
from app.common.tables import lab_panels, lab_tests

# A panel younger than this is still on its way to the queue by the request that brought it.
UNSENT_AFTER_SECONDS = 10


class Store(Protocol):
    """Where panels are kept.

    Every method may raise OSError or SQLAlchemy's DBAPIError: the database is away.
    """

    async def add(self, panel: NewPanel) -> UUID:
        """Store a panel that is not sent yet, and give its id."""

    async def mark_sent(self, panel_id: UUID) -> None:
        """The panel's job is in the queue."""

    async def unsent(self, limit: int) -> list[UUID]:
        """Panels whose job should be in the queue by now and is not, oldest first."""

    async def get(self, panel_id: UUID) -> Panel | None:
        """A panel as it stands; None where there is no such panel."""

    async def check(self) -> None:
        """Return if the database answers; raise what is wrong otherwise."""


class PostgresStore:
    """The store behind the running API."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, panel: NewPanel) -> UUID:
        """Store the panel and its tests in one transaction."""
        panel_id = uuid4()
        tests = [
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
        ]
        async with self._engine.begin() as connection:
            await connection.execute(insert(lab_panels).values(id=panel_id, patient_reference=panel.patient_reference))
            await connection.execute(insert(lab_tests), tests)
        return panel_id

    async def mark_sent(self, panel_id: UUID) -> None:
        """Note the time at which the job went into the queue."""
        async with self._engine.begin() as connection:
            await connection.execute(update(lab_panels).where(lab_panels.c.id == panel_id).values(sent_at=func.now()))

    async def unsent(self, limit: int) -> list[UUID]:
        """What the outbox holds for longer than UNSENT_AFTER_SECONDS."""
        age = func.now() - lab_panels.c.created_at
        query = (
            select(lab_panels.c.id)
            .where(
                lab_panels.c.sent_at.is_(None),
                age > func.make_interval(0, 0, 0, 0, 0, 0, UNSENT_AFTER_SECONDS),
            )
            .order_by(lab_panels.c.created_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def get(self, panel_id: UUID) -> Panel | None:
        """The panel with its tests, in the order in which they came."""
        async with self._engine.connect() as connection:
            panel = (await connection.execute(select(lab_panels).where(lab_panels.c.id == panel_id))).mappings().first()
            if panel is None:
                return None
            tests = await connection.execute(
                select(lab_tests).where(lab_tests.c.panel_id == panel_id).order_by(lab_tests.c.position)
            )
            return Panel(
                **{field: panel[field] for field in Panel.model_fields if field != "tests"},
                tests=[
                    CategorisedTest(
                        name=test["name"],
                        value=test["value"],
                        unit=test["unit"],
                        reference_range=reference_range(test["reference_low"], test["reference_high"]),
                        category=test["category"],
                        confidence=test["confidence"],
                    )
                    for test in tests.mappings()
                ],
            )

    async def check(self) -> None:
        """Ask the smallest question."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))


def reference_range(low: float | None, high: float | None) -> ReferenceRange | None:
    """The range between two columns, None where both are empty."""
    return None if low is None and high is None else ReferenceRange(low=low, high=high)
