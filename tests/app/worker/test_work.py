"""The worker's loop, over a queue and a store of the test's own."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from botocore.exceptions import EndpointConnectionError

from app.common.jobs import Job
from app.worker.categoriser import Categoriser, Category
from app.worker.heartbeat import alive, beat, every
from app.worker.queue import Message
from app.worker.store import PanelNames
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
    """Panels in memory."""

    def __init__(self) -> None:
        self.panels: dict[UUID, PanelNames] = {}
        self.finished: dict[UUID, dict[int, Category]] = {}
        self.failed: dict[UUID, str] = {}
        self.there = True

    def reachable(self) -> bool:
        return self.there

    def read(self, lab_id: UUID) -> PanelNames | None:
        return self.panels.get(lab_id)

    def finish(self, lab_id: UUID, categories: dict[int, Category]) -> None:
        self.finished[lab_id] = categories

    def fail(self, lab_id: UUID, reason: str) -> None:
        self.failed[lab_id] = reason


class Lengths(Categoriser):
    """A category for each length of name; `before` runs ahead of each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.before = lambda: None

    def categorise(self, names: Sequence[str]) -> list[Category]:
        self.before()
        self.batches.append(len(names))
        return [Category(f"length-{len(name)}", 1.0) for name in names]


class Setting:
    """A worker with one panel of `tests` names waiting for it."""

    def __init__(self, tests: int = 3, deliveries: int = 1, done: bool = False) -> None:
        self.lab = uuid4()
        self.message = Message(Job(kind="categorise", lab_id=self.lab).to_json(), "receipt", deliveries)
        self.queue = MemoryQueue(self.message)
        self.store = MemoryStore()
        self.store.panels[self.lab] = PanelNames(done, {at: "x" * (at + 1) for at in range(tests)})
        self.categoriser = Lengths()
        self.stop = threading.Event()
        self.worker = Worker(self.queue, self.store, self.categoriser, self.stop, lambda: None)


def test_a_panel_gets_its_categories_and_its_message_goes() -> None:
    it = Setting(tests=2)
    it.worker.step()
    assert it.store.finished == {it.lab: {0: Category("length-1", 1.0), 1: Category("length-2", 1.0)}}
    assert it.queue.deleted == [it.message]


def test_no_more_than_eight_names_are_embedded_at_once() -> None:
    it = Setting(tests=20)
    it.worker.step()
    assert it.categoriser.batches == [8, 8, 4]


def test_a_job_that_was_done_before_is_not_done_again() -> None:
    it = Setting(done=True)
    it.worker.step()
    assert it.categoriser.batches == []
    assert it.queue.deleted == [it.message]


def test_a_stop_gives_the_message_back_at_once() -> None:
    it = Setting(tests=20)
    it.categoriser.before = it.stop.set
    it.worker.step()
    assert it.categoriser.batches == [8]
    assert it.queue.hidden == [(it.message, 0)]
    assert it.queue.deleted == []
    assert it.store.finished == {}


def broken() -> None:
    raise RuntimeError("the model is broken")


def test_a_failed_job_stays_in_the_queue_and_comes_back_later() -> None:
    it = Setting(deliveries=2)
    it.categoriser.before = broken
    it.worker.step()
    assert it.queue.deleted == []
    assert it.queue.hidden == [(it.message, 10)]
    assert it.store.failed == {}


def test_a_panel_is_failed_when_its_message_goes_to_the_dead_letter_queue() -> None:
    it = Setting(deliveries=3)
    it.categoriser.before = broken
    it.worker.step()
    assert it.queue.deleted == []
    assert it.store.failed == {it.lab: "RuntimeError after the last try"}


def test_without_a_dead_letter_queue_no_try_is_the_last() -> None:
    it = Setting(deliveries=50)
    it.queue.most = None
    it.categoriser.before = broken
    it.worker.step()
    assert it.store.failed == {}


@pytest.mark.parametrize("body", ["not json", Job(kind="categorise", lab_id=uuid4()).to_json()])
def test_a_poison_message_is_left_to_the_queue(body: str) -> None:
    it = Setting()
    it.queue.messages = [Message(body, "receipt", 1)]
    it.worker.step()
    assert it.queue.deleted == []
    assert it.queue.hidden[0][1] > 0


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

    Worker(it.queue, it.store, it.categoriser, it.stop, beat_and_stop).run()
    assert len(beats) == 3


def test_a_long_job_keeps_its_message_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.work.VISIBILITY_SECONDS", 0.03)
    it = Setting()
    it.categoriser.before = lambda: time.sleep(0.1)
    it.worker.step()
    assert it.queue.hidden[0] == (it.message, 0.03)
    assert it.queue.deleted == [it.message]


def test_a_job_that_hangs_is_kept_hidden_only_so_long() -> None:
    kept: list[int] = []
    with every(0.001, 2, lambda: kept.append(1)):
        time.sleep(0.1)
    assert len(kept) == 2


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
