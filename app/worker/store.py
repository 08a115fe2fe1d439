"""The jobs and what they are about, in PostgreSQL, from the worker's side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import Connection, bindparam, create_engine, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from app.common.jobs import Job, JobError
from app.common.tables import (
    AGGREGATE,
    CATEGORISE,
    DONE,
    EXTRACT,
    FAILED,
    QUEUED,
    jobs,
    lab_panels,
    lab_tests,
    report_entities,
    reports,
    users,
    workers,
)
from app.worker.categoriser import Category
from app.worker.extractor import Entity

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30
# A worker's row outlasts it by this, so that one can see when the last was there.
FORGET_WORKERS_AFTER = timedelta(days=1)
LONGEST_TEST_NAME = 200


@dataclass(frozen=True)
class Work:
    """What a job asks for.

    `names`: for `categorise`, the panel's tests by their position; `body`: for `extract`, the report's text. `done`
    where an earlier delivery did it.
    """

    done: bool
    names: dict[int, str]
    body: str


@dataclass(frozen=True)
class Sign:
    """A worker's sign of life: its id, its model, when it started, and how many jobs it has done since."""

    worker: str
    model: str
    started_at: datetime
    jobs_done: int


class Store(Protocol):
    """Where jobs, panels, reports and trends are kept.

    Every method but `reachable` may raise SQLAlchemy's SQLAlchemyError: the database is away.
    """

    def reachable(self) -> bool:
        """Whether the database answers."""

    def begin(self, job: Job) -> Work:
        """Count a delivery of the job, and read what it asks for. JobError where there is no such job."""

    def categorised(self, job: Job, categories: dict[int, Category]) -> None:
        """Write a panel's categories, that the job is done, and a job for its owner's trends, together or not at
        all."""

    def extracted(self, job: Job, entities: Sequence[Entity]) -> None:
        """Write a report's entities and that the job is done, together or not at all."""

    def aggregate(self, job: Job, normalised: Callable[[str], str]) -> None:
        """Compute the trends of the job's owner anew, and write that it is done, together or not at all.

        `normalised` gives the name under which tests are counted as one.
        """

    def fail(self, job: Job, reason: str) -> None:
        """Write that the worker gave up on a job, and on what it is about, unless that is done."""

    def seen(self, sign: Sign) -> None:
        """Write that the worker is there."""


# One statement: what is computed, what is gone and what is written are of one moment. The names come as two lists,
# because the database does not know how they are normalised. Rows that are as they were keep their updated_at.
TRENDS = text("""
WITH names AS (
    SELECT * FROM unnest(CAST(:names AS text[]), CAST(:test_names AS text[])) AS pair (name, test_name)
), fresh AS (
    SELECT names.test_name, t.unit, date_trunc('month', p.created_at, 'UTC') AS period,
        count(*) AS count, avg(t.value) AS mean, min(t.value) AS minimum, max(t.value) AS maximum,
        (array_agg(t.value ORDER BY p.created_at DESC, p.id DESC, t.position DESC))[1] AS latest,
        (array_agg(t.category ORDER BY p.created_at DESC, p.id DESC, t.position DESC))[1] AS category
    FROM lab_panels p
    JOIN lab_tests t ON t.panel_id = p.id
    JOIN names ON names.name = t.name
    WHERE p.owner_id = :owner AND p.status = 'done'
    GROUP BY 1, 2, 3
), gone AS (
    DELETE FROM trends old WHERE old.owner_id = :owner AND NOT EXISTS (
        SELECT FROM fresh
        WHERE fresh.test_name = old.test_name AND fresh.unit = old.unit AND fresh.period = old.period
    )
)
INSERT INTO trends AS old (owner_id, test_name, unit, period, category, count, mean, minimum, maximum, latest)
SELECT :owner, test_name, unit, period, category, count, mean, minimum, maximum, latest FROM fresh
ON CONFLICT ON CONSTRAINT trends_key DO UPDATE SET
    category = excluded.category, count = excluded.count, mean = excluded.mean, minimum = excluded.minimum,
    maximum = excluded.maximum, latest = excluded.latest, updated_at = now()
WHERE (old.category, old.count, old.mean, old.minimum, old.maximum, old.latest)
    IS DISTINCT FROM
    (excluded.category, excluded.count, excluded.mean, excluded.minimum, excluded.maximum, excluded.latest)
""").bindparams(bindparam("owner", type_=users.c.id.type))


class PostgresStore:
    """The store behind the running worker: a connection for the work and one for the sign of life, made anew when they
    break."""

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

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def reachable(self) -> bool:
        """Ask the smallest question."""
        try:
            with self._transaction() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def begin(self, job: Job) -> Work:
        """The delivery is counted in a transaction of its own, so that it counts where the work then fails."""
        with self._transaction() as connection:
            row = connection.execute(
                update(jobs)
                .where(jobs.c.id == job.job_id, jobs.c.kind == job.kind)
                .values(deliveries=jobs.c.deliveries + 1)
                .returning(jobs.c.status, jobs.c.panel_id, jobs.c.report_id)
            ).first()
            if row is None:
                raise JobError(f"there is no job {job.job_id} of kind {job.kind}.")
            if row.status == DONE:
                return Work(done=True, names={}, body="")
            names: dict[int, str] = {}
            body = ""
            if job.kind == CATEGORISE:
                found = connection.execute(
                    select(lab_tests.c.position, lab_tests.c.name)
                    .where(lab_tests.c.panel_id == row.panel_id)
                    .order_by(lab_tests.c.position)
                )
                names = {test.position: test.name for test in found}
            elif job.kind == EXTRACT:
                body = connection.scalar(select(reports.c.body).where(reports.c.id == row.report_id)) or ""
            return Work(done=False, names=names, body=body)

    def categorised(self, job: Job, categories: dict[int, Category]) -> None:
        """One transaction. The same job again writes nothing."""
        with self._transaction() as connection:
            row = _finish(connection, job)
            if row is None:
                return
            if categories:
                connection.execute(
                    update(lab_tests)
                    .where(lab_tests.c.panel_id == row.panel_id, lab_tests.c.position == bindparam("test_position"))
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
                .where(lab_panels.c.id == row.panel_id)
                .values(status=DONE, reason=None, finished_at=func.now())
            )
            if row.owner_id is not None:
                _ask_for_trends(connection, row.owner_id)

    def extracted(self, job: Job, entities: Sequence[Entity]) -> None:
        """One transaction. The same job again writes nothing."""
        with self._transaction() as connection:
            row = _finish(connection, job)
            if row is None:
                return
            connection.execute(delete(report_entities).where(report_entities.c.report_id == row.report_id))
            if entities:
                connection.execute(
                    insert(report_entities),
                    [
                        {
                            "report_id": row.report_id,
                            "position": position,
                            "starts_at": entity.starts_at,
                            "ends_at": entity.ends_at,
                            "found": entity.found,
                            "category": entity.category,
                            "confidence": entity.confidence,
                            "value": entity.measurement and entity.measurement.value,
                            "unit": entity.measurement and entity.measurement.unit,
                        }
                        for position, entity in enumerate(entities)
                    ],
                )
            connection.execute(
                update(reports)
                .where(reports.c.id == row.report_id)
                .values(status=DONE, reason=None, finished_at=func.now())
            )

    def aggregate(self, job: Job, normalised: Callable[[str], str]) -> None:
        """One transaction, and one at a time for each owner: the second sees what the first saw, and more."""
        with self._transaction() as connection:
            row = _finish(connection, job)
            if row is None or row.owner_id is None:
                return
            connection.execute(select(users.c.id).where(users.c.id == row.owner_id).with_for_update(key_share=True))
            names = connection.scalars(
                select(lab_tests.c.name)
                .join(lab_panels, lab_panels.c.id == lab_tests.c.panel_id)
                .where(lab_panels.c.owner_id == row.owner_id, lab_panels.c.status == DONE)
                .distinct()
            ).all()
            connection.execute(
                TRENDS,
                {
                    "owner": row.owner_id,
                    "names": list(names),
                    "test_names": [normalised(name)[:LONGEST_TEST_NAME] for name in names],
                },
            )

    def fail(self, job: Job, reason: str) -> None:
        """A job that another delivery finished stays done."""
        with self._transaction() as connection:
            row = connection.execute(
                update(jobs)
                .where(jobs.c.id == job.job_id, jobs.c.status == QUEUED)
                .values(status=FAILED, reason=reason, finished_at=func.now())
                .returning(jobs.c.panel_id, jobs.c.report_id)
            ).first()
            if row is None:
                return
            for table, about in ((lab_panels, row.panel_id), (reports, row.report_id)):
                connection.execute(
                    update(table)
                    .where(table.c.id == about, table.c.status == QUEUED)
                    .values(status=FAILED, reason=reason, finished_at=func.now())
                )

    def seen(self, sign: Sign) -> None:
        """Insert or renew the worker's row, and forget workers that are long gone."""
        row = {"model": sign.model, "jobs_done": sign.jobs_done, "started_at": sign.started_at}
        with self._transaction() as connection:
            connection.execute(
                upsert(workers)
                .values(id=sign.worker, **row)
                .on_conflict_do_update(index_elements=[workers.c.id], set_={**row, "seen_at": func.now()})
            )
            connection.execute(delete(workers).where(workers.c.seen_at < func.now() - FORGET_WORKERS_AFTER))


def _finish(connection: Connection, job: Job) -> "_Row | None":
    """Set a job that is not done to done, and lock it; None where another delivery did it meanwhile.

    A job that had failed may come again from the dead-letter queue.
    """
    row = connection.execute(
        update(jobs)
        .where(jobs.c.id == job.job_id, jobs.c.status != DONE)
        .values(status=DONE, reason=None, finished_at=func.now())
        .returning(jobs.c.owner_id, jobs.c.panel_id, jobs.c.report_id)
    ).first()
    return None if row is None else _Row(row.owner_id, row.panel_id, row.report_id)


@dataclass(frozen=True)
class _Row:
    """Whose job it is, and what it is about."""

    owner_id: UUID | None
    panel_id: UUID | None
    report_id: UUID | None


def _ask_for_trends(connection: Connection, owner_id: UUID) -> None:
    """Add an `aggregate` job for an owner, unless one waits that will see what this transaction writes.

    A job that has begun may have read before this commits. The lock parts the two: to begin, it must change its row,
    and so wait for us; or it did, and then does not count as waiting. The API's relay sends the row.
    """
    waiting = connection.scalar(
        select(jobs.c.id)
        .where(jobs.c.owner_id == owner_id, jobs.c.kind == AGGREGATE, jobs.c.status == QUEUED, jobs.c.deliveries == 0)
        .limit(1)
        .with_for_update()
    )
    if waiting is None:
        connection.execute(insert(jobs).values(id=uuid4(), kind=AGGREGATE, owner_id=owner_id))
