"""The agent over a scripted fake model and labs in memory."""

import asyncio
import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from sqlalchemy.exc import OperationalError

from app.chat.agent import UNFINISHED, Agent, Limits, Turn
from app.chat.fake import SAYS_SO, FakeChat
from app.chat.model import (
    Assistant,
    ChatModel,
    Message,
    ModelError,
    Reply,
    System,
    ToolDescription,
    ToolResult,
    User,
)
from tests.app.chat.fakes import HBA1C, MemoryLabs, ScriptedFakeChat, calls

ANSWER = Assistant(content="HbA1c was 6.1 %.")
ENDLESS = calls(("categories", "{}"))


def ask(model: ScriptedFakeChat | FakeChat, labs: MemoryLabs, limits: Limits | None = None) -> Turn:
    return asyncio.run(Agent(model, limits).answer(labs, [], "What is my HbA1c?"))


def results(turn: Turn) -> list[dict[str, object]]:
    return [json.loads(said.content) for said in turn.messages if isinstance(said, ToolResult)]


def test_an_answer_without_tools_takes_one_round() -> None:
    model = ScriptedFakeChat(ANSWER)
    turn = ask(model, MemoryLabs())
    assert turn.messages == (User(content="What is my HbA1c?"), ANSWER)
    assert (turn.answer, turn.tools) == ("HbA1c was 6.1 %.", ())
    assert len(model.asked) == 1


def test_a_tool_reads_the_labs_and_the_model_is_told_what_it_brought() -> None:
    model = ScriptedFakeChat(calls(("test_history", '{"test_name": "hba1c", "limit": 3}')), ANSWER)
    labs = MemoryLabs(HBA1C)
    turn = ask(model, labs)
    assert labs.asked == [("history", "hba1c", None, 3)]
    (row,) = results(turn)[0]["rows"]  # type: ignore[misc]
    assert (row["value"], row["unit"], row["against_range"]) == (6.1, "%", "above")
    assert model.asked[1][-1] == turn.messages[2]
    assert turn.tools == ("test_history",)


def test_the_model_is_told_the_rules_first_and_the_date() -> None:
    model = ScriptedFakeChat(ANSWER)
    ask(model, MemoryLabs())
    first = model.asked[0][0]
    assert isinstance(first, System)
    for rule in ("Do not diagnose", "unit", "an instruction is not one", "Today is 20"):
        assert rule in " ".join(first.content.split())


def test_a_tool_loop_without_end_is_ended_with_a_sentence() -> None:
    model = ScriptedFakeChat(ENDLESS)
    turn = ask(model, MemoryLabs(), Limits(rounds=3))
    assert turn.answer == UNFINISHED
    assert model.must_answer == [False, False, True]


def test_after_too_many_tokens_the_model_must_answer() -> None:
    model = ScriptedFakeChat(ENDLESS, tokens=600)
    ask(model, MemoryLabs(), Limits(rounds=9, tokens=1_000))
    assert model.must_answer == [False, False, True]


def test_no_more_calls_than_the_limit_are_carried_out_in_a_round() -> None:
    model = ScriptedFakeChat(calls(*[("categories", "{}")] * 50), ANSWER)
    labs = MemoryLabs()
    turn = ask(model, labs, Limits(calls=4))
    assert len(labs.asked) == len(results(turn)) == 4
    said = turn.messages[1]
    assert isinstance(said, Assistant)
    assert len(said.tool_calls) == 4


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    model = ScriptedFakeChat(ANSWER, seconds=5.0)
    with pytest.raises(ModelError, match="There was no answer within"):
        ask(model, MemoryLabs(), Limits(seconds=0.05))


def test_a_model_that_is_away_is_an_error_of_the_model() -> None:
    away = ModelError("It is away.", "no connection")
    with pytest.raises(ModelError) as raised:
        ask(ScriptedFakeChat(away), MemoryLabs())
    assert raised.value is away


def test_a_database_that_is_away_is_not_told_to_the_model() -> None:
    labs = MemoryLabs()
    labs.away = OperationalError("SELECT", {}, Exception("gone"))
    model = ScriptedFakeChat(ENDLESS)
    with pytest.raises(OperationalError):
        ask(model, labs)
    assert len(model.asked) == 1


class RepeatingFakeChat(ChatModel):
    """Asks for one test's history and repeats what it brought, without a memory of its own."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolDescription], must_answer: bool) -> Reply:
        await asyncio.sleep(0)
        last = messages[-1]
        if isinstance(last, ToolResult):
            return Reply(Assistant(content=last.content), 1)
        return Reply(calls(("test_history", '{"test_name": "hba1c"}')), 1)


def test_an_agent_serves_many_people_at_once_and_each_gets_the_own_labs() -> None:
    agent = Agent(RepeatingFakeChat())
    values = [float(number) for number in range(20)]
    labs = [MemoryLabs(HBA1C.model_copy(update={"value": value})) for value in values]

    async def all_at_once() -> list[Turn]:
        return await asyncio.gather(*(agent.answer(own, [], "hba1c?") for own in labs))

    turns = asyncio.run(all_at_once())
    assert [json.loads(turn.answer)["rows"][0]["value"] for turn in turns] == values


def test_nothing_is_traced_to_a_third_party_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Tracer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(500)

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Tracer)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    for prefix in ("LANGSMITH", "LANGCHAIN"):
        monkeypatch.setenv(f"{prefix}_TRACING_V2", "true")
        monkeypatch.setenv(f"{prefix}_API_KEY", "not-a-key")
        monkeypatch.setenv(f"{prefix}_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        ask(ScriptedFakeChat(ENDLESS, ANSWER), MemoryLabs())
        from langchain_core.tracers.langchain import wait_for_all_tracers

        wait_for_all_tracers()
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("What is out of range?", "out_of_range"),
        ("How are my trends?", "trends"),
        ("Which categories do I have?", "categories"),
        ("The history of HbA1c?", "history"),
        ("Hello", "recent_panels"),
    ],
)
def test_the_fake_model_looks_things_up_and_says_that_it_is_a_fake(question: str, read: str) -> None:
    labs = MemoryLabs(HBA1C)
    turn = asyncio.run(Agent(FakeChat()).answer(labs, [], question))
    assert labs.asked[0][0] == read
    assert turn.answer.startswith(SAYS_SO)
