"""The panels in PostgreSQL, from the worker's side."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, bindparam, create_engine, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from app.common.tables import DONE, FAILED, QUEUED, lab_panels, lab_tests
from app.worker.categoriser import Category

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class PanelNames:
    """The names of a panel's tests, by their position; `done` where they have their categories already."""

    done: bool
    names: dict[int, str]


class Store(Protocol):
    """Where panels are kept."""

    def reachable(self) -> bool:
        """Whether the database answers."""

    def read(self, lab_id: UUID) -> PanelNames | None:
        """A panel's names; None where there is no such panel."""

    def finish(self, lab_id: UUID, categories: dict[int, Category]) -> None:
        """Write all categories and the status `done`, together or not at all."""

    def fail(self, lab_id: UUID, reason: str) -> None:
        """Write that the worker gave up on a panel that is not done."""


class PostgresStore:
    """The store behind the running worker: one connection, made anew when it breaks."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url,
            pool_size=1,
            max_overflow=1,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text is logged; what a panel holds is not
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS * 1000}",
            },
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def reachable(self) -> bool:
        """Ask the smallest question."""
        try:
            with self._transaction() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def read(self, lab_id: UUID) -> PanelNames | None:
        """The panel's status and names."""
        with self._transaction() as connection:
            status = connection.scalar(select(lab_panels.c.status).where(lab_panels.c.id == lab_id))
            if status is None:
                return None
            rows = connection.execute(
                select(lab_tests.c.position, lab_tests.c.name)
                .where(lab_tests.c.panel_id == lab_id)
                .order_by(lab_tests.c.position)
            )
            return PanelNames(done=status == DONE, names={row.position: row.name for row in rows})

    def finish(self, lab_id: UUID, categories: dict[int, Category]) -> None:
        """One transaction. The same job again writes the same values."""
        with self._transaction() as connection:
            connection.execute(
                update(lab_tests)
                .where(lab_tests.c.panel_id == lab_id, lab_tests.c.position == bindparam("test_position"))
                .values(category=bindparam("test_category"), confidence=bindparam("test_confidence")),
                [
                    {
                        "test_position": position,
                        "test_category": category.name,
                        "test_confidence": category.confidence,
                    }
                    for position, category in categories.items()
                ],
            )
            connection.execute(
                update(lab_panels)
                .where(lab_panels.c.id == lab_id)
                .values(status=DONE, reason=None, finished_at=func.now())
            )

    def fail(self, lab_id: UUID, reason: str) -> None:
        """A panel that another delivery finished stays done."""
        with self._transaction() as connection:
            connection.execute(
                update(lab_panels)
                .where(lab_panels.c.id == lab_id, lab_panels.c.status == QUEUED)
                .values(status=FAILED, reason=reason, finished_at=func.now())
            )
