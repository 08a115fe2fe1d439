"""The API's routes, over a store and a queue of the test's own."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy.exc import OperationalError

from app.api.routes import create_app, relay
from app.api.schemas import MAX_TESTS, CategorisedTest, NewPanel, Panel
from app.common.jobs import Job

PANEL = {
    "patient_reference": "patient-17",
    "tests": [{"name": "HbA1c", "value": 6.1, "unit": "%", "reference_range": {"low": 4, "high": 5.6}}],
}


class MemoryStore:
    """Panels in memory; `away` is what every method raises."""

    def __init__(self) -> None:
        self.panels: dict[UUID, NewPanel] = {}
        self.sent: set[UUID] = set()
        self.away: Exception | None = None

    async def check(self) -> None:
        if self.away:
            raise self.away

    async def add(self, panel: NewPanel) -> UUID:
        await self.check()
        self.panels[panel_id := uuid4()] = panel
        return panel_id

    async def mark_sent(self, panel_id: UUID) -> None:
        await self.check()
        self.sent.add(panel_id)

    async def unsent(self, limit: int) -> list[UUID]:
        await self.check()
        return [panel_id for panel_id in self.panels if panel_id not in self.sent][:limit]

    async def get(self, panel_id: UUID) -> Panel | None:
        await self.check()
        panel = self.panels.get(panel_id)
        return panel and Panel(
            id=panel_id,
            patient_reference=panel.patient_reference,
            status="done",
            reason=None,
            created_at=datetime.now(UTC),
            finished_at=None,
            tests=[CategorisedTest(**test.model_dump(), category="diabetes", confidence=0.9) for test in panel.tests],
        )


class MemoryQueue:
    """Jobs in a list; `away` is what every method raises."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.away: Exception | None = None

    async def check(self) -> None:
        if self.away:
            raise self.away

    async def send(self, job: Job) -> None:
        await self.check()
        self.jobs.append(job)


class Api:
    """The app with its two neighbors, and a client that asks it one thing at a time."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.queue = MemoryQueue()
        self.cache_away: Exception | None = None
        self.app = create_app(self.store, self.queue, self.check_cache)

    async def check_cache(self) -> None:
        if self.cache_away:
            raise self.cache_away

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())


@pytest.fixture
def api() -> Api:
    return Api()


QUEUE_AWAY = EndpointConnectionError(endpoint_url="http://queue")
DATABASE_AWAY = ConnectionRefusedError(111, "Connect call failed")


def test_a_panel_is_taken_stored_and_sent(api: Api) -> None:
    answer = api.ask("POST", "/labs", json=PANEL)
    assert answer.status_code == 202
    panel_id = UUID(answer.json()["id"])
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == f"/labs/{panel_id}"
    assert api.store.panels[panel_id].tests[0].unit == "%"
    assert api.queue.jobs == [Job(kind="categorise", lab_id=panel_id)]
    assert api.store.sent == {panel_id}


def test_a_panel_comes_back_with_its_categories(api: Api) -> None:
    panel_id = api.ask("POST", "/labs", json=PANEL).json()["id"]
    panel = api.ask("GET", f"/labs/{panel_id}").json()
    assert panel["status"] == "done"
    assert panel["tests"] == [{**PANEL["tests"][0], "category": "diabetes", "confidence": 0.9}]  # type: ignore[index]


def test_a_panel_outlives_a_queue_that_is_away(api: Api) -> None:
    api.queue.away = QUEUE_AWAY
    answer = api.ask("POST", "/labs", json=PANEL)
    assert answer.status_code == 202
    assert api.store.sent == set()
    api.queue.away = None
    assert asyncio.run(relay(api.store, api.queue)) == 1
    assert [str(job.lab_id) for job in api.queue.jobs] == [answer.json()["id"]]
    assert asyncio.run(relay(api.store, api.queue)) == 0


def test_a_job_whose_sending_could_not_be_noted_is_sent_again(api: Api) -> None:
    panel_id = asyncio.run(api.store.add(NewPanel.model_validate(PANEL)))
    asyncio.run(api.queue.send(Job(kind="categorise", lab_id=panel_id)))
    asyncio.run(relay(api.store, api.queue))
    assert [job.lab_id for job in api.queue.jobs] == [panel_id, panel_id]


@pytest.mark.parametrize("error", [DATABASE_AWAY, OperationalError("SELECT", {}, Exception("gone")), TimeoutError()])
def test_a_database_that_is_away_is_a_503_with_a_reason(api: Api, error: Exception) -> None:
    api.store.away = error
    for answer in (api.ask("POST", "/labs", json=PANEL), api.ask("GET", f"/labs/{uuid4()}")):
        assert answer.status_code == 503
        assert "database cannot be reached" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "5"
    assert api.queue.jobs == []


def test_an_unknown_panel_is_not_found(api: Api) -> None:
    assert api.ask("GET", f"/labs/{uuid4()}").status_code == 404


def test_alive_does_not_mean_ready(api: Api) -> None:
    api.store.away, api.queue.away = DATABASE_AWAY, QUEUE_AWAY
    assert api.ask("GET", "/health").json() == {"status": "ok"}
    answer = api.ask("GET", "/ready")
    assert answer.status_code == 503
    assert answer.json()["database"] == {
        "ok": False,
        "reason": "ConnectionRefusedError: [Errno 111] Connect call failed",
    }
    assert not answer.json()["queue"]["ok"]
    assert answer.json()["cache"]["ok"]


@pytest.mark.parametrize("neighbor", ["store", "queue"])
def test_neither_the_database_nor_the_queue_may_be_away(api: Api, neighbor: str) -> None:
    getattr(api, neighbor).away = DATABASE_AWAY
    assert api.ask("GET", "/ready").status_code == 503


def test_the_cache_may_be_away(api: Api) -> None:
    api.cache_away = DATABASE_AWAY
    answer = api.ask("GET", "/ready")
    assert answer.status_code == 200
    assert answer.json()["cache"]["ok"] is False


def broken(**changes: Any) -> dict[str, Any]:
    """PANEL with its one test changed."""
    return {
        "patient_reference": "patient-17",
        "tests": [{"name": "HbA1c", "value": 6.1, "unit": "%", **changes}],
    }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"patient_reference": "", "tests": PANEL["tests"]},
        {"patient_reference": "x", "tests": []},
        {**PANEL, "tests": broken()["tests"] * (MAX_TESTS + 1)},
        {**PANEL, "unasked": 1},
        broken(name=" "),
        broken(name="x" * 201),
        broken(name="HbA1c\x00"),
        broken(unit="x" * 33),
        broken(value="high"),
        broken(value=float("inf")),
        broken(value=float("nan")),
        broken(reference_range={}),
        broken(reference_range={"low": 2, "high": 1}),
    ],
)
def test_a_panel_beyond_the_limits_is_refused_and_not_stored(api: Api, body: dict[str, Any]) -> None:
    answer = api.ask("POST", "/labs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert api.store.panels == {}


def test_a_refusal_does_not_repeat_what_was_sent(api: Api) -> None:
    answer = api.ask("POST", "/labs", json={"patient_reference": "Jane Doe", "tests": "none"})
    assert answer.status_code == 422
    assert "Jane Doe" not in answer.text
