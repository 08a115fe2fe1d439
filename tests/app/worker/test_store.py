"""The worker's side of the database, on a real one: idempotent jobs, trends, and workers that are seen."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, create_engine, func, insert, select, update

from app.common.jobs import Job, JobError
from app.common.names import normalise
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
    trends,
    users,
    workers,
)
from app.worker.categoriser import Category
from app.worker.extractor import Entity
from app.worker.measurement import Measurement
from app.worker.store import PostgresStore, Sign

pytestmark = pytest.mark.services

MARCH, APRIL = datetime(2025, 3, 31, 23, 30, tzinfo=UTC), datetime(2025, 4, 2, 8, 0, tzinfo=UTC)
GLUCOSE = Category("diabetes", 0.9)


class Data:
    """A store under test, and the rows that other services would write and read."""

    def __init__(self, url: str) -> None:
        driven = url.replace("postgresql:", "postgresql+psycopg:")
        self.store = PostgresStore(driven)
        self.engine: Engine = create_engine(driven)
        self.owner = self.user("ann@example.com")

    def close(self) -> None:
        self.store.close()
        self.engine.dispose()

    def add(self, table: Any, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(insert(table).values(**values))

    def rows(self, table: Any, **where: Any) -> list[Any]:
        query = select(table).filter_by(**where)
        with self.engine.connect() as connection:
            return list(connection.execute(query).all())

    def user(self, email: str) -> UUID:
        made = uuid4()
        self.add(users, id=made, email=email, password_hash="none")
        return made

    def job(self, kind: str, **about: Any) -> Job:
        made = Job(kind, uuid4())
        self.add(jobs, id=made.job_id, kind=kind, **about)
        return made

    def panel(
        self, *tests: tuple[str, float, str], at: datetime = APRIL, owner: UUID | None = None, owned: bool = True
    ) -> tuple[UUID, Job]:
        """A panel that is queued, and its job."""
        made, owner = uuid4(), (owner or self.owner) if owned else None
        self.add(lab_panels, id=made, owner_id=owner, patient_reference="p", created_at=at)
        for position, (name, value, unit) in enumerate(tests):
            self.add(lab_tests, panel_id=made, position=position, name=name, value=value, unit=unit)
        return made, self.job(CATEGORISE, owner_id=owner, panel_id=made)

    def categorised(self, *tests: tuple[str, float, str], at: datetime = APRIL, owner: UUID | None = None) -> UUID:
        """A panel that the worker has done."""
        made, job = self.panel(*tests, at=at, owner=owner)
        self.store.categorised(job, dict.fromkeys(range(len(tests)), GLUCOSE))
        return made

    def report(self) -> tuple[UUID, Job]:
        made = uuid4()
        self.add(reports, id=made, owner_id=self.owner, patient_reference="p", body="TSH 4.2 mIU/L")
        return made, self.job(EXTRACT, owner_id=self.owner, report_id=made)

    def aggregates(self) -> list[Any]:
        return self.rows(jobs, kind=AGGREGATE)

    def aggregate(self) -> None:
        self.store.aggregate(self.job(AGGREGATE, owner_id=self.owner), normalise)

    def trends(self) -> list[Any]:
        return sorted(self.rows(trends, owner_id=self.owner), key=lambda row: (row.test_name, row.unit, row.period))


@pytest.fixture
def data(database: str) -> Iterator[Data]:
    made = Data(database)
    yield made
    made.close()


def test_a_job_brings_what_it_is_about_and_its_delivery_is_counted(data: Data) -> None:
    _, job = data.panel(("glucose", 5.0, "mmol/L"), ("TSH", 2.0, "mIU/L"))
    assert data.store.begin(job).names == {0: "glucose", 1: "TSH"}
    data.store.begin(job)
    assert data.rows(jobs, id=job.job_id)[0].deliveries == 2
    _, job = data.report()
    assert data.store.begin(job).body == "TSH 4.2 mIU/L"


def test_a_message_without_a_row_or_with_anothers_kind_is_no_job(data: Data) -> None:
    with pytest.raises(JobError, match="there is no job"):
        data.store.begin(Job(CATEGORISE, uuid4()))
    _, job = data.panel(("glucose", 5.0, "mmol/L"))
    with pytest.raises(JobError, match="of kind extract"):
        data.store.begin(replace(job, kind=EXTRACT))


def test_categories_the_panels_status_the_jobs_and_a_job_for_trends_are_written_together(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    data.store.categorised(job, {0: GLUCOSE})
    assert data.rows(lab_tests, panel_id=panel)[0].category == "diabetes"
    assert data.rows(lab_panels, id=panel)[0].status == DONE
    assert data.rows(jobs, id=job.job_id)[0].status == DONE
    (asked,) = data.aggregates()
    assert (asked.owner_id, asked.status, asked.sent_at) == (data.owner, QUEUED, None)


def test_nothing_is_written_where_a_part_cannot_be(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    with pytest.raises(Exception, match="value too long"):
        data.store.categorised(job, {0: Category("x" * 65, 0.5)})
    assert data.rows(lab_panels, id=panel)[0].status == QUEUED
    assert data.rows(jobs, id=job.job_id)[0].status == QUEUED
    assert data.aggregates() == []


def test_the_same_job_again_writes_nothing(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    data.store.categorised(job, {0: GLUCOSE})
    before = data.rows(jobs, id=job.job_id)
    data.store.categorised(job, {0: Category("lipids", 0.1)})
    assert data.store.begin(job).done
    assert data.rows(lab_tests, panel_id=panel)[0].category == "diabetes"
    assert data.rows(jobs, id=job.job_id)[0].finished_at == before[0].finished_at
    assert len(data.aggregates()) == 1


def test_one_job_for_trends_waits_however_many_panels_are_done(data: Data) -> None:
    for _ in range(3):
        data.categorised(("glucose", 5.0, "mmol/L"))
    assert len(data.aggregates()) == 1


def test_a_panel_that_is_done_after_trends_have_begun_asks_for_them_again(data: Data) -> None:
    data.categorised(("glucose", 5.0, "mmol/L"))
    (begun,) = data.aggregates()
    data.store.begin(Job(AGGREGATE, begun.id))
    data.categorised(("glucose", 6.0, "mmol/L"))
    assert len(data.aggregates()) == 2


def test_trends_that_begin_while_a_panel_is_being_written_wait_for_it(data: Data) -> None:
    data.categorised(("glucose", 5.0, "mmol/L"))
    (waiting,) = data.aggregates()
    job = Job(AGGREGATE, waiting.id)
    with data.engine.begin() as connection:
        # What `categorised` does: it holds the waiting job until it commits.
        connection.execute(select(jobs.c.id).where(jobs.c.id == job.job_id).with_for_update())
        begun = threading.Thread(target=data.store.begin, args=(job,))
        begun.start()
        begun.join(0.3)
        assert begun.is_alive()
    begun.join(5)
    assert not begun.is_alive()


def test_a_panel_of_nobody_asks_for_no_trends(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"), owned=False)
    data.store.categorised(job, {0: GLUCOSE})
    assert data.rows(lab_panels, id=panel)[0].status == DONE
    assert data.aggregates() == []


def test_a_reports_entities_take_the_place_of_those_before(data: Data) -> None:
    report, job = data.report()
    tsh = Entity(0, 3, "TSH", "thyroid", 0.97, Measurement(4.2, "mIU/L", 4))
    data.add(
        report_entities, report_id=report, position=7, starts_at=0, ends_at=1, found="T", category="x", confidence=0.1
    )
    data.store.extracted(job, [tsh, replace(tsh, measurement=None)])
    data.store.extracted(job, [])
    found = sorted(data.rows(report_entities, report_id=report), key=lambda row: row.position)
    assert [tuple(row)[1:] for row in found] == [
        (0, 0, 3, "TSH", "thyroid", 0.97, 4.2, "mIU/L"),
        (1, 0, 3, "TSH", "thyroid", 0.97, None, None),
    ]
    assert data.rows(reports, id=report)[0].status == DONE
    assert data.rows(jobs, id=job.job_id)[0].status == DONE


def test_a_report_without_entities_is_done_too(data: Data) -> None:
    report, job = data.report()
    data.store.extracted(job, [])
    assert data.rows(reports, id=report)[0].status == DONE


def test_trends_are_of_a_name_a_unit_and_a_month(data: Data) -> None:
    data.categorised(("Glucose", 4.0, "mmol/L"), ("glucose ", 6.0, "mmol/L"), ("glucose", 90.0, "mg/dL"), at=APRIL)
    data.categorised(("GLUCOSE", 8.0, "mmol/L"), at=APRIL + timedelta(days=1))
    data.categorised(("glucose", 5.0, "mmol/L"), at=MARCH)
    data.aggregate()
    assert [
        (row.unit, row.period, row.count, row.mean, row.minimum, row.maximum, row.latest) for row in data.trends()
    ] == [
        ("mg/dL", datetime(2025, 4, 1, tzinfo=UTC), 1, 90, 90, 90, 90),
        ("mmol/L", datetime(2025, 3, 1, tzinfo=UTC), 1, 5, 5, 5, 5),
        ("mmol/L", datetime(2025, 4, 1, tzinfo=UTC), 3, 6, 4, 8, 8),
    ]
    assert {(row.test_name, row.category) for row in data.trends()} == {("glucose", "diabetes")}


def test_trends_are_the_owners_own_and_of_panels_that_are_done(data: Data) -> None:
    data.categorised(("glucose", 5.0, "mmol/L"), owner=data.user("bob@example.com"))
    data.panel(("glucose", 5.0, "mmol/L"))
    data.aggregate()
    assert data.trends() == []


def test_trends_computed_again_are_the_same_rows_untouched(data: Data) -> None:
    data.categorised(("glucose", 5.0, "mmol/L"), ("TSH", 2.0, "mIU/L"))
    data.aggregate()
    before = data.trends()
    data.aggregate()
    assert data.trends() == before


def test_trends_follow_what_is_changed_and_what_is_gone(data: Data) -> None:
    data.categorised(("glucose", 5.0, "mmol/L"))
    gone = data.categorised(("TSH", 2.0, "mIU/L"), ("glucose", 7.0, "mmol/L"))
    data.aggregate()
    assert [(row.test_name, row.count) for row in data.trends()] == [("glucose", 2), ("tsh", 1)]
    with data.engine.begin() as connection:
        connection.execute(lab_panels.delete().where(lab_panels.c.id == gone))
    data.aggregate()
    assert [(row.test_name, row.count, row.mean) for row in data.trends()] == [("glucose", 1, 5)]


def test_trends_of_an_owner_without_panels_are_none(data: Data) -> None:
    job = data.job(AGGREGATE, owner_id=data.owner)
    data.store.aggregate(job, normalise)
    assert data.trends() == []
    assert data.rows(jobs, id=job.job_id)[0].status == DONE


def test_the_trends_of_ten_thousand_tests_are_one_statement(data: Data) -> None:
    panels = [{"id": uuid4(), "owner_id": data.owner, "patient_reference": "p", "status": DONE} for _ in range(1000)]
    tests = [
        {"panel_id": panel["id"], "position": at, "name": f"Test {at}", "value": 1.0, "unit": "g/L"}
        for panel in panels
        for at in range(10)
    ]
    with data.engine.begin() as connection:
        connection.execute(insert(lab_panels), panels)
        connection.execute(insert(lab_tests), tests)
    data.aggregate()  # within the store's own limit for a statement
    assert [row.count for row in data.trends()] == [1000] * 10


def test_a_job_that_is_given_up_fails_with_what_it_is_about(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    data.store.fail(job, "RuntimeError after the last try")
    assert data.rows(lab_panels, id=panel)[0].status == FAILED
    row = data.rows(jobs, id=job.job_id)[0]
    assert (row.status, row.reason) == (FAILED, "RuntimeError after the last try")
    report, job = data.report()
    data.store.fail(job, "why")
    assert data.rows(reports, id=report)[0].reason == "why"


def test_a_job_that_is_done_stays_done_whatever_fails_later(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    data.store.categorised(job, {0: GLUCOSE})
    data.store.fail(job, "why")
    assert data.rows(lab_panels, id=panel)[0].status == DONE
    assert data.rows(jobs, id=job.job_id)[0].status == DONE


def test_a_job_that_failed_may_be_done_when_it_comes_again(data: Data) -> None:
    panel, job = data.panel(("glucose", 5.0, "mmol/L"))
    data.store.fail(job, "why")
    assert not data.store.begin(job).done
    data.store.categorised(job, {0: GLUCOSE})
    row = data.rows(lab_panels, id=panel)[0]
    assert (row.status, row.reason) == (DONE, None)


def test_a_worker_is_seen_again_in_its_own_row_and_forgotten_after_a_day(data: Data) -> None:
    started = datetime(2025, 1, 1, tzinfo=UTC)
    data.store.seen(Sign("host-1", "minilm", started, 0))
    data.store.seen(Sign("host-1", "minilm", started, 5))
    (row,) = data.rows(workers)
    assert (row.id, row.model, row.jobs_done, row.started_at) == ("host-1", "minilm", 5, started)
    with data.engine.begin() as connection:
        connection.execute(update(workers).values(seen_at=func.now() - timedelta(days=2)))
    data.store.seen(Sign("host-2", "minilm", started, 0))
    assert [row.id for row in data.rows(workers)] == ["host-2"]


def test_a_database_that_is_away_is_said_to_be() -> None:
    assert PostgresStore("postgresql+psycopg://nobody@127.0.0.1:1/none").reachable() is False
