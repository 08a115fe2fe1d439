"""The chat over real PostgreSQL: whose labs the tools read, how chats are kept, and the API that answers."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.pages import Page, Place
from app.chat.fake import SAYS_SO
from app.chat.labs import CategoryCount
from app.chat.model import Assistant, Message, ToolCall, ToolResult, User
from app.chat.store import MAX_MESSAGES, FullError, PostgresStore
from app.chat.tools import call_tool
from app.common import database as databases
from app.common.sessions import digest
from app.common.tables import lab_panels, lab_tests, sessions, trends, users
from tests.app import servers

pytestmark = pytest.mark.services

T = TypeVar("T")
ANN, BOB = UUID(int=1), UUID(int=2)
TOKEN = "t" * 43
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def within(url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Do `work` with an engine on a seeded database."""

    async def done() -> T:
        engine = databases.engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        try:
            await seed(engine)
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(done())


async def seed(engine: AsyncEngine) -> None:
    """Ann has two panels; Bob has one, of the same patient reference, with a value that only he may see."""
    rows: Sequence[tuple[UUID, int, str, Sequence[tuple[str, float, str, float | None, float | None, str | None]]]] = (
        (ANN, 0, "p-1", [("HbA1c", 6.1, "%", 4.0, 5.6, "diabetes"), ("100%_pure", 1.0, "", None, None, None)]),
        (
            ANN,
            1,
            "p-2",
            [("HBA1C (IFCC)", 30.0, "mmol/mol", 20.0, 38.0, "diabetes"), ("LDL", 40.0, "mg/dL", 50.0, None, "lipids")],
        ),
        (BOB, 2, "p-1", [("HbA1c", 99.9, "%", 4.0, 5.6, "diabetes")]),
    )
    async with engine.begin() as connection:
        for owner, name in ((ANN, "ann"), (BOB, "bob")):
            await connection.execute(insert(users).values(id=owner, email=f"{name}@lab.example", password_hash="x"))
            for month in (1, 2):
                await connection.execute(
                    insert(trends).values(
                        owner_id=owner,
                        test_name="hba1c",
                        unit="%",
                        period=datetime(2026, month, 1, tzinfo=UTC),
                        category="diabetes",
                        count=2,
                        mean=6.0 if owner == ANN else 99.9,
                        minimum=5.9,
                        maximum=6.1,
                        latest=6.1,
                    )
                )
        await connection.execute(
            insert(sessions).values(
                token_sha256=digest(TOKEN), user_id=ANN, expires_at=datetime.now(UTC) + timedelta(hours=1)
            )
        )
        for owner, day, patient, tests in rows:
            panel = uuid4()
            await connection.execute(
                insert(lab_panels).values(
                    id=panel, owner_id=owner, patient_reference=patient, created_at=BEGIN + timedelta(days=day)
                )
            )
            for position, (name, value, unit, low, high, category) in enumerate(tests):
                await connection.execute(
                    insert(lab_tests).values(
                        panel_id=panel,
                        position=position,
                        name=name,
                        value=value,
                        unit=unit,
                        reference_low=low,
                        reference_high=high,
                        category=category,
                    )
                )


async def use(engine: AsyncEngine, name: str, **arguments: Any) -> list[dict[str, Any]]:
    """The rows that a tool brings Ann."""
    call = ToolCall(id="1", name=name, arguments=json.dumps(arguments))
    result = await call_tool(PostgresStore(engine).labs(ANN), call)
    rows: list[dict[str, Any]] = json.loads(result.content)["rows"]
    return rows


def test_every_tool_reads_the_own_labs_and_no_one_elses(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        panels = await use(engine, "list_recent_panels", limit=10)
        assert [panel["patient_reference"] for panel in panels] == ["p-2", "p-1"]
        assert [result["test_name"] for result in panels[1]["results"]] == ["HbA1c", "100%_pure"]
        history = await use(engine, "test_history", test_name="hba1c")
        assert [(row["value"], row["unit"], row["against_range"]) for row in history] == [
            (30.0, "mmol/mol", "inside"),
            (6.1, "%", "above"),
        ]
        outside = await use(engine, "out_of_range")
        assert [(row["test_name"], row["against_range"]) for row in outside] == [("LDL", "below"), ("HbA1c", "above")]
        months = await use(engine, "trends", test_name="HbA1c", category="Diabetes")
        assert [(row["month"][:7], row["mean"]) for row in months] == [("2026-02", 6.0), ("2026-01", 6.0)]
        assert await use(engine, "trends", category="lipids") == []
        assert [(row["category"], row["results"]) for row in await use(engine, "categories")] == [
            ("diabetes", 2),
            ("lipids", 1),
            (None, 1),
        ]
        everything = [
            await use(engine, name) for name in ("list_recent_panels", "out_of_range", "trends", "categories")
        ]
        assert "99.9" not in json.dumps(everything)

    within(database, work)


def test_names_and_references_are_text_whatever_is_in_them(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        for name in ("%", "_", "100%_"):
            assert [row["test_name"] for row in await use(engine, "test_history", test_name=name)] == ["100%_pure"]
        for name in ("' OR 1=1 --", "\\", "x' UNION SELECT password_hash FROM users --"):
            assert await use(engine, "test_history", test_name=name) == []
        patient = await use(engine, "test_history", test_name="hba1c", patient_reference="p-1")
        assert [row["value"] for row in patient] == [6.1]
        assert await use(engine, "out_of_range", patient_reference="p-%") == []
        unranged = await use(engine, "test_history", test_name="pure")
        assert unranged[0]["against_range"] is None

    within(database, work)


def test_who_has_no_labs_gets_no_rows(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        labs = PostgresStore(engine).labs(uuid4())
        assert [await labs.recent_panels(5), await labs.out_of_range(None, 5), await labs.categories()] == [[], [], []]

    within(database, work)


def test_categories_count_what_is_out_of_range_and_each_name_once(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        first = (await PostgresStore(engine).labs(ANN).categories())[0]
        assert first == CategoryCount(
            category="diabetes",
            results=2,
            different_tests=2,
            out_of_range=1,
            last_entered_at=BEGIN + timedelta(days=1),
        )

    within(database, work)


TURN: Sequence[Message] = (
    User(content="a\x00b “€”?"),
    Assistant(tool_calls=(ToolCall(id="1", name="categories", arguments='{"broken'),)),
    ToolResult(call_id="1", name="categories", content='{"error": "x"}'),
    Assistant(content="None."),
)


def test_a_chat_comes_back_as_it_was_said(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        store = PostgresStore(engine)
        chat_id = await store.add(ANN, None, TURN)
        assert await store.add(ANN, chat_id, TURN) == chat_id
        chat = await store.get(chat_id)
        assert chat is not None
        assert chat.owner_id == ANN
        assert [kept.message for kept in chat.messages] == [*TURN, *TURN]
        assert await store.get(uuid4()) is None

    within(database, work)


def test_turns_that_come_at_once_follow_each_other(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        store = PostgresStore(engine)
        chat_id = await store.add(ANN, None, TURN)
        await asyncio.gather(*(store.add(ANN, chat_id, TURN) for _ in range(8)))
        chat = await store.get(chat_id)
        assert chat is not None
        assert [kept.message for kept in chat.messages] == [*TURN] * 9

    within(database, work)


def test_a_full_chat_takes_nothing_more(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        store = PostgresStore(engine)
        chat_id = await store.add(ANN, None, [User(content="x")] * MAX_MESSAGES)
        with pytest.raises(FullError):
            await store.add(ANN, chat_id, TURN)
        with pytest.raises(FullError):
            await store.add(ANN, None, [User(content="x")] * (MAX_MESSAGES + 1))
        assert len(await store.page(ANN, Page(10))) == 1

    within(database, work)


def test_pages_of_chats_go_on_where_the_last_one_ended(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        store = PostgresStore(engine)
        made = [await store.add(ANN, None, [User(content=f"Question {number}")]) for number in range(5)]
        await store.add(BOB, None, TURN)
        found: list[UUID] = []
        after = None
        while page := await store.page(ANN, Page(2, after)):
            found += [chat.id for chat in page]
            after = Place(page[-1].created_at, page[-1].id)
        assert found == made[::-1]

    within(database, work)


def test_the_api_answers_a_question_with_the_fake_model_and_stays_small(
    database: str, redis: servers.Redis, sqs: str, queue_url: str
) -> None:
    async def nothing(_: AsyncEngine) -> None:
        """The seed is all."""

    within(database, nothing)
    folder = servers.folder("chat")
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis.url,
        "JOBS_QUEUE_URL": queue_url,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sqs,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "CHAT_MODEL": "fake",
    }
    service = servers.Service(folder, "api", environment)
    service.start()
    try:
        with httpx.Client(base_url=service.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            answer = client.post("/chat", json={"message": "What is out of range?"}).json()
            assert answer["tools"] == ["out_of_range"]
            assert answer["answer"].startswith(SAYS_SO)
            assert "6.1" in answer["answer"]
            assert "99.9" not in answer["answer"]
            assert [chat["id"] for chat in client.get("/chat").json()["items"]] == [answer["chat_id"]]
            assert httpx.post(f"{service.url}/chat", json={"message": "Hello"}, timeout=30).status_code == 401
        assert "no language model is asked" in service.log
        assert "HbA1c" not in service.log
        (line,) = [line for line in Path(f"/proc/{service.pid}/status").read_text().splitlines() if "VmRSS" in line]
        assert int(line.split()[1]) / 1024 < 200
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)
