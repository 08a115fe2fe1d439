"""The worker's loop, over a queue and a store of the test's own."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from botocore.exceptions import EndpointConnectionError

from app.common.jobs import Job, JobError
from app.common.names import normalise
from app.common.tables import AGGREGATE, CATEGORISE, EXTRACT
from app.worker.categoriser import Category
from app.worker.extractor import Entity
from app.worker.heartbeat import alive, beat, every
from app.worker.queue import Message
from app.worker.store import Sign, Work
from app.worker.work import Worker


class MemoryQueue:
    """Messages in a list, and what was asked of them."""

    def __init__(self, *messages: Message, most: int | None = 3) -> None:
        self.messages = list(messages)
        self.most = most
        self.deleted: list[Message] = []
        self.hidden: list[tuple[Message, int]] = []
        self.received = 0
        self.away = False

    def receive(self) -> Message | None:
        self.received += 1
        if self.away:
            raise EndpointConnectionError(endpoint_url="http://queue")
        return self.messages.pop(0) if self.messages else None

    def delete(self, message: Message) -> None:
        self.deleted.append(message)

    def hide(self, message: Message, seconds: int) -> None:
        self.hidden.append((message, seconds))

    def most_deliveries(self) -> int | None:
        return self.most


class MemoryStore:
    """One job's work, and what was written."""

    def __init__(self, work: Work | None) -> None:
        self.work = work
        self.begun: list[Job] = []
        self.categories: dict[UUID, dict[int, Category]] = {}
        self.entities: dict[UUID, list[Entity]] = {}
        self.aggregated: list[tuple[Job, Callable[[str], str]]] = []
        self.failed: dict[UUID, str] = {}
        self.there = True

    def reachable(self) -> bool:
        return self.there

    def begin(self, job: Job) -> Work:
        self.begun.append(job)
        if self.work is None:
            raise JobError("there is no such job.")
        return self.work

    def categorised(self, job: Job, categories: dict[int, Category]) -> None:
        self.categories[job.job_id] = categories

    def extracted(self, job: Job, entities: Sequence[Entity]) -> None:
        self.entities[job.job_id] = list(entities)

    def aggregate(self, job: Job, normalised: Callable[[str], str]) -> None:
        self.aggregated.append((job, normalised))

    def fail(self, job: Job, reason: str) -> None:
        self.failed[job.job_id] = reason

    def seen(self, sign: Sign) -> None:
        raise AssertionError("the loop does not sign")


class Lengths:
    """A category for each length of name; `before` runs ahead of each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.before: Callable[[], object] = lambda: None

    def categorise(self, names: Sequence[str]) -> list[Category]:
        self.before()
        self.batches.append(len(names))
        return [Category(f"length-{len(name)}", 1.0) for name in names]


class Words:
    """An entity for each word; `before` runs ahead of each word, and then what the worker asks for."""

    def __init__(self) -> None:
        self.before: Callable[[], object] = lambda: None

    def extract(self, body: str, between_batches: Callable[[], None]) -> list[Entity]:
        found = []
        for word in body.split():
            self.before()
            between_batches()
            at = body.index(word)
            found.append(Entity(at, at + len(word), word, "word", 1.0, None))
        return found


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


class Setting:
    """A worker with one job waiting for it: a panel of `tests` names, or another `kind`."""

    def __init__(self, tests: int = 3, deliveries: int = 1, done: bool = False, kind: str = CATEGORISE) -> None:
        self.job = Job(kind=kind, job_id=uuid4())
        self.message = Message(self.job.to_json(), "receipt", deliveries)
        self.queue = MemoryQueue(self.message)
        names = {at: "x" * (at + 1) for at in range(tests)} if kind == CATEGORISE else {}
        self.store = MemoryStore(Work(done, names, "sodium 140" if kind == EXTRACT else ""))
        self.categoriser = Lengths()
        self.extractor = Words()
        self.stop = threading.Event()
        self.worker = self.made(lambda: None)

    def made(self, beat: Callable[[], None]) -> Worker:
        return Worker(self.queue, self.store, self.categoriser, self.extractor, self.stop, beat)


def test_a_panel_gets_its_categories_and_its_message_goes() -> None:
    it = Setting(tests=2)
    it.worker.step()
    assert it.store.categories == {it.job.job_id: {0: Category("length-1", 1.0), 1: Category("length-2", 1.0)}}
    assert it.queue.deleted == [it.message]


def test_a_report_gets_its_entities_and_its_message_goes() -> None:
    it = Setting(kind=EXTRACT)
    it.worker.step()
    assert [entity.found for entity in it.store.entities[it.job.job_id]] == ["sodium", "140"]
    assert it.queue.deleted == [it.message]


def test_trends_are_computed_under_the_names_that_the_model_sees() -> None:
    it = Setting(kind=AGGREGATE)
    it.worker.step()
    assert it.store.aggregated == [(it.job, normalise)]
    assert it.queue.deleted == [it.message]


@pytest.mark.parametrize("kind", [CATEGORISE, EXTRACT, AGGREGATE])
def test_a_job_that_was_done_before_is_not_done_again_whatever_its_kind(kind: str) -> None:
    it = Setting(done=True, kind=kind)
    it.worker.step()
    assert (it.store.categories, it.store.entities, it.store.aggregated) == ({}, {}, [])
    assert it.queue.deleted == [it.message]


def test_a_stop_between_two_pieces_of_a_report_gives_the_message_back() -> None:
    it = Setting(kind=EXTRACT)
    it.extractor.before = it.stop.set
    it.worker.step()
    assert it.queue.hidden == [(it.message, 0)]
    assert it.queue.deleted == []
    assert it.store.entities == {}


def test_the_worker_counts_the_jobs_that_it_has_done() -> None:
    it = Setting()
    it.queue.messages.append(Message("not json", "receipt", 1))
    it.worker.step()
    it.worker.step()
    assert it.worker.jobs_done == 1


def test_no_more_than_eight_names_are_embedded_at_once() -> None:
    it = Setting(tests=20)
    it.worker.step()
    assert it.categoriser.batches == [8, 8, 4]


def test_a_stop_gives_the_message_back_at_once() -> None:
    it = Setting(tests=20)
    it.categoriser.before = it.stop.set
    it.worker.step()
    assert it.categoriser.batches == [8]
    assert it.queue.hidden == [(it.message, 0)]
    assert it.queue.deleted == []
    assert it.store.categories == {}


def broken() -> None:
    raise RuntimeError("the model is broken")


def test_a_failed_job_stays_in_the_queue_and_comes_back_later() -> None:
    it = Setting(deliveries=2)
    it.categoriser.before = broken
    it.worker.step()
    assert it.queue.deleted == []
    assert it.queue.hidden == [(it.message, 10)]
    assert it.store.failed == {}


def test_a_job_is_failed_when_its_message_goes_to_the_dead_letter_queue() -> None:
    it = Setting(deliveries=3)
    it.categoriser.before = broken
    it.worker.step()
    assert it.queue.deleted == []
    assert it.store.failed == {it.job.job_id: "RuntimeError after the last try"}


def test_without_a_dead_letter_queue_no_try_is_the_last() -> None:
    it = Setting(deliveries=50)
    it.queue.most = None
    it.categoriser.before = broken
    it.worker.step()
    assert it.store.failed == {}


def test_a_poison_message_is_left_to_the_queue() -> None:
    it = Setting()
    it.queue.messages = [Message("not json", "receipt", 1)]
    it.worker.step()
    assert it.queue.deleted == []
    assert it.queue.hidden[0][1] > 0


def test_a_message_without_a_job_is_left_to_the_queue() -> None:
    it = Setting()
    it.store.work = None
    it.worker.step()
    assert it.queue.deleted == []
    assert it.queue.hidden[0][1] > 0


def test_no_log_line_holds_what_a_job_is_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    it = Setting(kind=EXTRACT)
    it.worker.step()
    assert {record.message for record in caplog.records} == {"the job is done"}
    assert "sodium" not in str([vars(record) for record in caplog.records])


def test_nothing_is_taken_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.work.AWAY_SECONDS", 0)
    it = Setting()
    it.store.there = False
    it.worker.step()
    assert it.queue.received == 0


def test_the_worker_outlives_a_queue_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.work.AWAY_SECONDS", 0)
    it = Setting()
    it.queue.away = True
    beats: list[int] = []

    def beat_and_stop() -> None:
        beats.append(1)
        if len(beats) == 3:
            it.stop.set()

    it.made(beat_and_stop).run()
    assert len(beats) == 3


def test_a_long_job_keeps_its_message_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.work.VISIBILITY_SECONDS", 0.03)
    it = Setting()
    it.categoriser.before = lambda: until(lambda: it.queue.hidden)
    it.worker.step()
    assert it.queue.hidden[0] == (it.message, 0.03)
    assert it.queue.deleted == [it.message]


def test_a_job_that_hangs_is_kept_hidden_only_so_long() -> None:
    kept: list[int] = []
    with every(0.001, 2, lambda: kept.append(1)):
        until(lambda: len(kept) == 2)
        time.sleep(0.05)
    assert len(kept) == 2


def test_a_sign_of_life_is_given_at_once() -> None:
    given = threading.Semaphore(0)
    with every(3600, None, given.release, at_once=True):
        assert given.acquire(timeout=10)
        assert not given.acquire(blocking=False)


def test_a_sign_of_life_is_given_until_the_work_ends() -> None:
    given: list[int] = []
    enough = threading.Event()

    def sign() -> None:
        given.append(1)
        if len(given) > 5:
            enough.set()

    with every(0.005, None, sign, at_once=True):
        assert enough.wait(10)
    after = len(given)
    time.sleep(0.02)
    assert len(given) == after


def test_a_failing_heartbeat_does_not_stop_the_work() -> None:
    with every(0.001, 2, broken):
        time.sleep(0.02)


def test_a_worker_is_alive_for_a_minute_after_its_last_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "heartbeat"
    assert not alive(path)
    beat(path)
    assert alive(path)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 61)
    assert not alive(path)
