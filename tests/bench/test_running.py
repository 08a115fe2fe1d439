"""Containers' own words: when a worker was ready, and what it is given to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bench import running, workload
from bench.plan import MONOLITH, OURS
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import Services
from devcloud.toolchain import Toolchain
from devcloud.util.console import UserError

ADDRESS = "http://127.0.0.1:1"


def test_a_worker_is_ready_when_its_log_says_so() -> None:
    logs = 'starting\n{"time": "2026-11-25T10:00:01.500+00:00", "message": "ready", "level": "INFO"}\n{"message": "x"}'
    assert list(running.ready_at(logs)) == [running.seconds_of("2026-11-25T10:00:01.5Z")]
    assert list(running.ready_at('{"message": "stopped"}\n[1]\nready')) == []


def test_docker_s_nine_digits_of_a_second_are_read() -> None:
    assert running.seconds_of("1970-01-01T00:00:10.123456789Z") == 10.123456
    assert running.seconds_of("1970-01-01T00:00:10Z") == 10


def test_panels_have_eight_tests_and_differ() -> None:
    first, second = workload.panel(0), workload.panel(1)
    assert len(first["tests"]) == 8
    assert len({test["name"] for test in first["tests"]}) == 8
    assert first["tests"] != second["tests"]


class Rehearsed(running.Running):
    """A contender whose containers and database are a script: what it is asked is kept, in order."""

    def __init__(self, scratch: Path, contender: str = OURS, *, unsent: int = 0) -> None:
        services = Services(Cloud("bench-unit", scratch), Toolchain.__new__(Toolchain))
        super().__init__(services, contender, {"api": "a", "worker": "w", MONOLITH: "m"}, scratch)
        self.asked: list[str] = []
        self.unsent = [*range(unsent, -1, -1)]
        services.query = self._query  # type: ignore[method-assign]

    def _query(self, _database: str, sql: str) -> str:
        if "sent_at" not in sql:
            return "2|1.0" if "coalesce" in sql else "2"
        self.asked.append("sent?")
        return str(self.unsent.pop(0) if len(self.unsent) > 1 else self.unsent[0])

    def _client(self, address: str) -> httpx.Client:
        accepted = httpx.MockTransport(lambda _: httpx.Response(httpx.codes.ACCEPTED, json={"id": "1"}))
        return httpx.Client(base_url=address, transport=accepted)

    def _loaded(self, *_: object) -> dict[str, float]:
        return {}

    def _processes(self, _: str) -> list[int]:
        return []

    @contextmanager
    def serving(self, role: str = running.SERVICE) -> Iterator[tuple[str, float]]:
        self.asked.append(f"api as {role}")
        yield ADDRESS, 0.0
        self.asked.append("api ended")

    @contextmanager
    def working(self) -> Iterator[float]:
        self.asked.append("worker")
        yield 0.0


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.time, "sleep", lambda _: None)


def test_the_api_ends_only_after_every_job_of_its_outbox_was_sent(tmp_path: Path) -> None:
    bench = Rehearsed(tmp_path, unsent=2)
    bench.jobs(2, within_seconds=1)
    assert bench.asked == ["api as api", "sent?", "sent?", "sent?", "api ended", "worker"]


def test_jobs_that_are_never_sent_are_told_and_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SENT_SECONDS", 0)
    bench = Rehearsed(tmp_path)
    bench.unsent = [1]
    monkeypatch.setattr(type(bench.engine), "logs", lambda *_: "the queue is away")
    with pytest.raises(UserError, match=r"did not send its jobs within 0 s\. It said: the queue is away"):
        bench.jobs(2, within_seconds=1)
    assert "worker" not in bench.asked


@pytest.mark.parametrize("contender", [OURS, MONOLITH])
def test_panels_are_read_and_entered_with_no_worker_beside(tmp_path: Path, contender: str) -> None:
    bench = Rehearsed(tmp_path, contender)
    bench.read()
    bench.write()
    assert bench.asked == ["api as api", "api ended"] * 2


def test_each_measurement_has_a_queue_of_its_own(tmp_path: Path) -> None:
    queues = {Rehearsed(tmp_path)._environment("api")["JOBS_QUEUE_URL"] for _ in range(2)}
    assert len(queues) == 2
