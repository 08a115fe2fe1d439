"""The API's routes, over a store and a queue of the test's own."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy.exc import OperationalError, ProgrammingError

from app.api.outbox import Outbox
from app.api.routes import create_app
from app.api.schemas import MAX_BODY, MAX_TESTS
from app.api.store import Lost
from app.common.jobs import Job
from tests.app.api.fakes import ADA, OPERATOR, Api

PANEL: dict[str, Any] = {
    "patient_reference": "patient-17",
    "tests": [{"name": "HbA1c", "value": 6.1, "unit": "%", "reference_range": {"low": 4, "high": 5.6}}],
}
REPORT = {"patient_reference": "patient-17", "body": "  HbA1c 6.1 %,\n\tLDL 131 mg/dL.\n"}
QUEUE_AWAY = EndpointConnectionError(endpoint_url="http://queue")
DATABASE_AWAY = ConnectionRefusedError(111, "Connect call failed")
ROUTES = [
    ("POST", "/labs"),
    ("GET", "/labs"),
    ("GET", "/labs/0b9ae9cd-4f6e-4c1c-9d2a-7f3b1a5c8e10"),
    ("POST", "/reports"),
    ("GET", "/reports"),
    ("GET", "/reports/0b9ae9cd-4f6e-4c1c-9d2a-7f3b1a5c8e10"),
    ("GET", "/jobs"),
    ("GET", "/jobs/0b9ae9cd-4f6e-4c1c-9d2a-7f3b1a5c8e10"),
    ("GET", "/trends"),
]


@pytest.fixture
def api() -> Api:
    return Api()


def body_for(path: str) -> dict[str, Any]:
    return {"json": PANEL if path == "/labs" else REPORT}


def test_a_panel_is_taken_with_its_units_and_its_job(api: Api) -> None:
    answer = api.ask("POST", "/labs", json=PANEL)
    assert answer.status_code == 202
    panel_id = UUID(answer.json()["id"])
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == f"labs/{panel_id}"
    assert str(answer.url.join(answer.headers["location"])) == f"http://service/labs/{panel_id}"
    assert api.store.all_panels[panel_id].tests[0].unit == "%"
    (job,) = api.store.all_jobs.values()
    assert (job.kind, job.panel_id, job.owner_id, job.sent_at) == ("categorise", panel_id, ADA.user_id, None)


def test_a_report_is_taken_as_it_is(api: Api) -> None:
    answer = api.ask("POST", "/reports", json=REPORT)
    assert answer.status_code == 202
    report = api.ask("GET", f"/{answer.headers['location']}").json()
    assert report["body"] == REPORT["body"]
    assert report["entities"] == []
    assert "body" not in api.ask("GET", "/reports").json()["items"][0]


def test_a_panel_comes_back_with_its_categories(api: Api) -> None:
    panel_id = api.ask("POST", "/labs", json=PANEL).json()["id"]
    kept = api.store.all_panels[UUID(panel_id)]
    kept.status, kept.tests[0].category, kept.tests[0].confidence = "done", "diabetes", 0.9
    panel = api.ask("GET", f"/labs/{panel_id}").json()
    assert panel["status"] == "done"
    assert panel["tests"] == [{**PANEL["tests"][0], "category": "diabetes", "confidence": 0.9}]


def test_a_panel_that_is_done_is_read_from_the_cache_by_its_owner_alone(api: Api) -> None:
    panel_id = api.ask("POST", "/labs", json=PANEL).json()["id"]
    api.ask("GET", f"/labs/{panel_id}")
    assert api.cache.values == {}
    api.store.all_panels[UUID(panel_id)].status = "done"
    first, reads = api.ask("GET", f"/labs/{panel_id}"), api.store.reads
    assert api.ask("GET", f"/labs/{panel_id}").json() == first.json()
    assert api.store.reads == reads
    assert api.ask("GET", f"/labs/{panel_id}", "ben").status_code == 404
    api.cache.away = DATABASE_AWAY
    assert api.ask("GET", f"/labs/{panel_id}").json() == first.json()
    assert api.store.reads == reads + 1


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic YTpi"}])
def test_nobody_gets_anything_without_a_token(api: Api, method: str, path: str, headers: dict[str, str]) -> None:
    answer = api.ask(method, path, None, headers=headers, **body_for(path) if method == "POST" else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert api.store.all_panels == api.store.all_reports == {}


def test_every_route_but_the_probes_asks_for_a_token(api: Api) -> None:
    operations = api.ask("GET", "/openapi.json", None).json()["paths"]
    for path, methods in operations.items():
        for operation in methods.values():
            assert ("security" in operation) == (path not in ("/health", "/ready")), path
            assert ("401" in operation["responses"]) == ("security" in operation), path


def test_what_is_another_users_is_not_found_and_an_operator_sees_it(api: Api) -> None:
    panel = api.ask("POST", "/labs", json=PANEL).json()["id"]
    report = api.ask("POST", "/reports", json=REPORT).json()["id"]
    job = next(iter(api.store.all_jobs))
    for path in (f"/labs/{panel}", f"/reports/{report}", f"/jobs/{job}"):
        assert api.ask("GET", path).status_code == 200
        assert api.ask("GET", path, "olga").status_code == 200
        answer = api.ask("GET", path, "ben")
        assert answer.status_code == 404
        # As what is not there at all: nothing tells the two apart.
        nowhere = path.rpartition("/")[0] + f"/{uuid4()}"
        assert set(api.ask("GET", nowhere, "ben").json()) == set(answer.json())
    for path in ("/labs", "/reports", "/jobs"):
        assert api.ask("GET", path, "ben").json()["items"] == []
        assert len(api.ask("GET", path, "olga").json()["items"]) == len(api.ask("GET", path).json()["items"]) > 0


def test_pages_hold_everything_once_and_end(api: Api) -> None:
    made = [api.ask("POST", "/labs", json=PANEL).json()["id"] for _ in range(7)]
    api.ask("POST", "/labs", "ben", json=PANEL)
    seen: list[str] = []
    cursor: str | None = None
    for size in (3, 3, 1):
        page = api.ask("GET", "/labs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) == size
        seen += [panel["id"] for panel in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == made[::-1]


def test_a_full_last_page_has_no_next(api: Api) -> None:
    for _ in range(2):
        api.ask("POST", "/labs", json=PANEL)
    assert api.ask("GET", "/labs", params={"limit": 2}).json()["next_cursor"] is None


@pytest.mark.parametrize("limit", [0, -1, 101, "x", 10**30])
def test_a_page_has_a_size(api: Api, limit: object) -> None:
    assert api.ask("GET", "/labs", params={"limit": limit}).status_code == 422


def test_the_same_key_and_request_are_one_panel(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.ask("POST", "/labs", json=PANEL, headers=headers)
    # Spelled otherwise, and the same.
    again = api.ask(
        "POST", "/labs", content=json.dumps(PANEL, indent=4), headers={**headers, "Content-Type": "application/json"}
    )
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert len(api.store.all_panels) == len(api.store.all_jobs) == 1
    assert api.ask("POST", "/labs", "ben", json=PANEL, headers=headers).json()["id"] != first.json()["id"]


def test_a_key_with_another_request_is_refused_in_a_sentence(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    api.ask("POST", "/labs", json=PANEL, headers=headers)
    answer = api.ask("POST", "/labs", json={**PANEL, "patient_reference": "patient-18"}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("This Idempotency-Key came before with another request")
    assert len(api.store.all_panels) == 1


@pytest.mark.parametrize("key", ["", " ", "k" * 129, "with space"])
def test_a_key_has_a_shape(api: Api, key: str) -> None:
    assert api.ask("POST", "/labs", json=PANEL, headers={"Idempotency-Key": key}).status_code == 422
    assert api.store.all_panels == {}


def test_a_panel_outlives_a_queue_that_is_away(api: Api) -> None:
    api.queue.away = QUEUE_AWAY
    assert api.ask("POST", "/labs", json=PANEL).status_code == 202
    outbox = Outbox(api.store, api.queue)
    with pytest.raises(EndpointConnectionError):
        asyncio.run(outbox.send())
    api.queue.away = None
    assert asyncio.run(outbox.send()) == 1
    assert api.queue.jobs == [Job("categorise", job_id) for job_id in api.store.all_jobs]
    assert asyncio.run(outbox.send()) == 0


def test_the_outbox_sends_at_once_when_it_is_woken_and_by_itself_when_not(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        outbox = Outbox(api.store, api.queue)
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0)
        await api.store.add_panel(ADA.user_id, _new_panel(), None)
        # It sleeps for two seconds now.
        monkeypatch.setattr("app.api.outbox.POLL_SECONDS", 0.1)
        outbox.wake()
        await asyncio.wait_for(_until(lambda: len(api.queue.jobs) == 1), 1.5)
        # As the worker adds an `aggregate`: nobody wakes anyone.
        await api.store.add_panel(ADA.user_id, _new_panel(), None)
        await asyncio.wait_for(_until(lambda: len(api.queue.jobs) == 2), 30)
        running.cancel()

    asyncio.run(run())


def test_the_outbox_outlives_whatever_fails(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.outbox.RETRY_SECONDS", 0.01)

    async def run() -> None:
        outbox = Outbox(api.store, api.queue)
        await api.store.add_panel(ADA.user_id, _new_panel(), None)
        running = asyncio.create_task(outbox.run())
        for error in (QUEUE_AWAY, DATABASE_AWAY, KeyError("a mistake of ours")):
            api.queue.away = error
            await asyncio.sleep(0.03)
        api.queue.away = None
        await asyncio.wait_for(_until(lambda: len(api.queue.jobs) == 1), 30)
        running.cancel()

    asyncio.run(run())


def test_a_job_has_lost_its_message_where_the_queue_stays_empty_or_keeps_none_so_long(api: Api) -> None:
    outbox = Outbox(api.store, api.queue)
    days = 4 * 24 * 3600
    for idle, seconds in ((True, days), (True, days), (True, 600), (False, days), (True, days)):
        api.queue.stands = replace(api.queue.stands, idle=idle)
        asyncio.run(outbox.recover())
        assert api.store.asked_for_lost.pop() == (seconds, 5)


def test_the_running_api_looks_for_lost_jobs(api: Api) -> None:
    async def run() -> None:
        app = create_app(api.store, api.queue, api.tokens, api.cache)
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(_until(lambda: api.store.asked_for_lost), 10)

    asyncio.run(run())


def test_nothing_is_taken_for_lost_while_the_queue_cannot_be_asked(api: Api) -> None:
    api.queue.away = QUEUE_AWAY
    asyncio.run(Outbox(api.store, api.queue).recover())
    assert api.store.asked_for_lost == []


def test_what_had_lost_its_message_is_sent_at_once_and_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.store.lost = Lost(unsent=2, failed=1)

    async def run() -> None:
        outbox = Outbox(api.store, api.queue)
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0.01)
        await api.store.add_panel(ADA.user_id, _new_panel(), None)  # it sleeps for two seconds now
        await outbox.recover()
        await asyncio.wait_for(_until(lambda: len(api.queue.jobs) == 1), 1.5)
        running.cancel()

    asyncio.run(run())
    (record,) = [record for record in caplog.records if record.message == "jobs had lost their message"]
    assert (record.__dict__["sent_again"], record.__dict__["failed"]) == (2, 1)


def _new_panel() -> Any:
    from app.api.schemas import NewPanel

    return NewPanel.model_validate(PANEL)


async def _until(true: Any) -> None:
    while not true():  # noqa: ASYNC110 - what it waits for knows no events
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("error", [DATABASE_AWAY, OperationalError("SELECT", {}, Exception("gone")), TimeoutError()])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_database_that_is_away_is_a_503_with_a_reason(api: Api, error: Exception, method: str, path: str) -> None:
    api.store.away = error
    answer = api.ask(method, path, **body_for(path) if method == "POST" else {})
    assert answer.status_code == 503
    assert "database cannot be reached" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "5"
    api.store.away = None
    assert api.ask("GET", "/labs").status_code == 200


def test_a_token_that_cannot_be_looked_up_is_no_refusal_of_it(api: Api) -> None:
    api.tokens.away = DATABASE_AWAY
    assert api.ask("GET", "/labs").status_code == 503


def test_a_mistake_of_ours_is_no_absence_of_the_database(api: Api) -> None:
    api.store.away = ProgrammingError("SELECT", {}, Exception("no such column; DETAIL: Jane Doe"))
    answer = api.ask("GET", "/labs")
    assert answer.status_code == 500
    assert "X-Request-Id" in answer.json()["detail"]
    assert "Jane Doe" not in answer.text


def test_alive_does_not_mean_ready(api: Api) -> None:
    api.store.away, api.queue.away = DATABASE_AWAY, QUEUE_AWAY
    assert api.ask("GET", "/health", None).json() == {"status": "ok"}
    answer = api.ask("GET", "/ready", None)
    assert answer.status_code == 503
    assert answer.json()["database"] == {
        "ok": False,
        "reason": "ConnectionRefusedError: [Errno 111] Connect call failed",
    }
    assert not answer.json()["queue"]["ok"]
    assert answer.json()["cache"]["ok"]


def test_the_database_may_not_be_away(api: Api) -> None:
    api.store.away = DATABASE_AWAY
    assert api.ask("GET", "/ready", None).status_code == 503


@pytest.mark.parametrize("neighbor", ["cache", "queue"])
def test_the_cache_and_the_queue_may_be_away(api: Api, neighbor: str) -> None:
    """A release that mends the queue has to become ready before it is there."""
    getattr(api, neighbor).away = QUEUE_AWAY
    answer = api.ask("GET", "/ready", None)
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()[neighbor]["ok"] is False


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
        {**PANEL, "owner_id": str(OPERATOR.user_id)},
        broken(name=" "),
        broken(name="x" * 201),
        broken(name="HbA1c\x00"),
        broken(unit="x" * 33),
        broken(value="high"),
        broken(value="6.1"),
        broken(value=True),
        broken(reference_range={"low": False}),
        broken(value=float("inf")),
        broken(value=float("nan")),
        broken(value=10**400),
        broken(reference_range={}),
        broken(reference_range={"low": 2, "high": 1}),
    ],
)
def test_a_panel_beyond_the_limits_is_refused_and_not_stored(api: Api, body: dict[str, Any]) -> None:
    answer = api.ask("POST", "/labs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert api.store.all_panels == {}


@pytest.mark.parametrize("body", ["", " \n ", "x" * (MAX_BODY + 1), "a\x00b", 17, None])
def test_a_report_beyond_the_limits_is_refused_and_not_stored(api: Api, body: object) -> None:
    assert api.ask("POST", "/reports", json={**REPORT, "body": body}).status_code == 422
    assert api.store.all_reports == {}


def test_a_refusal_does_not_repeat_what_was_sent(api: Api) -> None:
    answer = api.ask("POST", "/labs", json={"patient_reference": "Jane Doe", "tests": "none"})
    assert answer.status_code == 422
    assert "Jane Doe" not in answer.text


def test_the_description_has_examples_that_it_takes(api: Api) -> None:
    schemas = api.ask("GET", "/openapi.json", None).json()["components"]["schemas"]
    assert api.ask("POST", "/labs", json=schemas["NewPanel"]["example"]).status_code == 202
    assert api.ask("POST", "/reports", json=schemas["NewReport"]["example"]).status_code == 202


def test_a_panel_that_another_release_cached_in_its_own_way_is_read_again(api: Api) -> None:
    panel = api.ask("POST", "/labs", json=PANEL).json()["id"]
    api.store.all_panels[UUID(panel)].status = "done"
    assert api.ask("GET", f"/labs/{panel}").status_code == 200
    ((key, _),) = api.cache.values.items()
    for foreign in (b"{}", b"not JSON", b'{"id": 7}'):
        api.cache.values[key] = foreign
        assert api.ask("GET", f"/labs/{panel}").json()["status"] == "done"


def test_a_key_stands_for_the_body_as_it_was_sent(api: Api) -> None:
    """Not for what a release makes of it: the next one may know another field, with a value if it is left out."""
    first = {"patient_reference": "p", "tests": [{"name": "pH", "value": 7.4, "unit": ""}]}
    once = {"headers": {"Idempotency-Key": "k", "Content-Type": "application/json"}}
    made = api.ask("POST", "/labs", json=first, headers={"Idempotency-Key": "k"}).json()["id"]
    again = '{ "tests": [{"unit": "", "value": 7.40, "name": "pH"}],\n "patient_reference": "p"}'
    assert api.ask("POST", "/labs", content=again, **once).json()["id"] == made
    ((fingerprint, _),) = api.store.keys.values()
    canonical = '/labs\n{"patient_reference":"p","tests":[{"name":"pH","unit":"","value":7.4}]}'
    assert fingerprint == hashlib.sha256(canonical.encode()).digest()
    other = {**first, "patient_reference": "q"}
    assert api.ask("POST", "/labs", json=other, headers={"Idempotency-Key": "k"}).status_code == 422
