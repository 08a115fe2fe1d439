"""The client of OpenAI, against a fake on loopback that speaks OpenAI's protocol."""

import asyncio
import functools
import json
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.chat.agent import Agent
from app.chat.model import Assistant, Message, ModelError, Reply, System, ToolCall, ToolResult
from app.chat.openai_chat import CUT, MAX_ANSWER_TOKENS, OpenAIChat
from app.chat.tools import describe
from tests.app.chat.fakes import HBA1C, QUESTION, Answers, FakeOpenAI, MemoryLabs, completion, failure

KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True, scope="module")
def _the_same_certificates() -> Iterator[None]:
    """Each client reads the authorities' certificates anew, which takes longer than what is tested here, over HTTP."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


def ask(
    answers: Answers | None, messages: Sequence[Message] = (QUESTION,), must_answer: bool = False
) -> tuple[Reply, FakeOpenAI]:
    fake = FakeOpenAI(answers)
    with fake.running():
        chat = OpenAIChat(KEY, "gpt-fake", fake.base_url, timeout_seconds=10 if answers else 0.3)
        return asyncio.run(chat.reply(messages, describe(), must_answer)), fake


def refusal(answers: Answers | None) -> ModelError:
    with pytest.raises(ModelError) as raised:
        ask(answers)
    return raised.value


def test_a_question_goes_out_with_the_tools_and_the_answer_comes_back() -> None:
    reply, fake = ask(lambda _: (200, {}, completion({"content": "6.1 %"})))
    assert reply == Reply(Assistant(content="6.1 %"), tokens=42)
    (request,) = fake.requests
    assert request["model"] == "gpt-fake"
    assert request["messages"] == [{"role": "user", "content": "What is my HbA1c?"}]
    assert [tool["function"]["name"] for tool in request["tools"]] == [tool.name for tool in describe()]
    assert (request["tool_choice"], request["max_completion_tokens"]) == ("auto", MAX_ANSWER_TOKENS)
    assert request["store"] is False
    assert fake.keys == [f"Bearer {KEY}"]


def test_a_model_that_must_answer_is_told_not_to_use_tools() -> None:
    _, fake = ask(lambda _: (200, {}, completion({"content": "6.1 %"})), must_answer=True)
    assert fake.requests[0]["tool_choice"] == "none"


def test_tool_calls_come_back_as_the_model_wrote_them() -> None:
    asked = [{"id": "call_7", "type": "function", "function": {"name": "trends", "arguments": '{"broken'}}]
    reply, _ = ask(lambda _: (200, {}, completion({"content": None, "tool_calls": asked}, "tool_calls")))
    assert reply.message == Assistant(tool_calls=(ToolCall(id="call_7", name="trends", arguments='{"broken'),))


def test_calls_and_their_results_are_sent_as_the_protocol_has_them() -> None:
    call = ToolCall(id="call_7", name="trends", arguments="{}")
    said: list[Message] = [
        System(content="rules"),
        QUESTION,
        Assistant(tool_calls=(call,)),
        ToolResult(call_id="call_7", name="trends", content='{"rows": []}'),
    ]
    _, fake = ask(lambda _: (200, {}, completion({"content": "none"})), said)
    assert fake.requests[0]["messages"][2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_7", "type": "function", "function": {"name": "trends", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_7", "content": '{"rows": []}'},
    ]


def test_an_agent_answers_over_the_protocol_with_malformed_arguments_on_the_way() -> None:
    def answers(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        results = [message for message in body["messages"] if message["role"] == "tool"]
        if len(results) == 2:
            return 200, {}, completion({"content": f"It is {json.loads(results[1]['content'])['rows'][0]['value']} %."})
        arguments = ['{"test_name": ', '{"test_name": "hba1c"}'][len(results)]
        call = {"id": f"c{len(results)}", "type": "function"}
        call |= {"function": {"name": "test_history", "arguments": arguments}}  # type: ignore[dict-item]
        return 200, {}, completion({"content": None, "tool_calls": [call]}, "tool_calls")

    fake = FakeOpenAI(answers)
    with fake.running():
        agent = Agent(OpenAIChat(KEY, "gpt-fake", fake.base_url))
        turn = asyncio.run(agent.answer(MemoryLabs(HBA1C), [], "What is my HbA1c?"))
    assert turn.answer == "It is 6.1 %."
    assert turn.tools == ("test_history",)
    assert len(fake.requests) == 3


def test_a_server_that_never_answers_is_a_timeout() -> None:
    error = refusal(None)
    assert (error.sentence, error.reason) == (
        "The language model did not answer in time; please try again.",
        "timeout",
    )


def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    chat = OpenAIChat(KEY, "gpt-fake", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match="cannot be reached at the moment"):
        asyncio.run(chat.reply([QUESTION], (), must_answer=False))


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (400, "context_length_exceeded", "The language model refused the question."),
        (401, "invalid_api_key", "The language model does not accept this service's key: this needs an operator."),
        (403, None, "The language model does not accept this service's key: this needs an operator."),
        (404, "model_not_found", "The language model that is configured is not there: this needs an operator."),
        (418, None, "The language model refused the question."),
        (429, "insufficient_quota", "The language model's quota is used up: this needs an operator."),
        (500, None, "The language model has a problem at the moment; please try again."),
        (503, None, "The language model has a problem at the moment; please try again."),
    ],
)
def test_a_refusal_is_one_sentence_without_the_key_or_the_text_that_came(
    status: int, code: str | None, sentence: str
) -> None:
    told = f"Incorrect API key provided: {KEY}, for: What is my HbA1c?"
    error = refusal(lambda _: (status, {"retry-after-ms": "1", "x-request-id": "req_1"}, failure(told, code)))
    assert error.sentence == sentence
    assert error.reason == f"HTTP {status}, code {code}, request req_1"
    for secret in (KEY, KEY[:8], "HbA1c"):
        assert secret not in str(error)
    assert error.__cause__ is None


def test_a_busy_server_says_when_to_come_back() -> None:
    headers = {"retry-after": "7", "retry-after-ms": "1"}
    error = refusal(lambda _: (429, headers, failure("Slow down", "rate_limit_exceeded")))
    assert (error.sentence, error.retry_after_seconds) == ("The language model is busy; please try again.", 7)


def test_a_problem_that_passes_is_not_seen() -> None:
    tries = iter([500, 200])
    reply, fake = ask(lambda _: (next(tries), {"retry-after-ms": "1"}, completion({"content": "6.1 %"})))
    assert reply.message.content == "6.1 %"
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>welcome</html>",
        "[]",
        "null",
        "7",
        "{}",
        {"choices": []},
        {"choices": None},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7}}]},
        {"choices": [{"message": {"tool_calls": [{"type": "function"}]}}]},
        {"choices": [{"message": {"tool_calls": [{"type": "function", "id": 1, "function": {"name": None}}]}}]},
        {"choices": [{"message": {"tool_calls": 3}}]},
        {"choices": [7]},
    ],
)
def test_an_answer_outside_the_protocol_is_an_error_of_the_model(answer: Any) -> None:
    error = refusal(lambda _: (200, {}, answer))
    assert "please" in error.sentence


def test_an_answer_that_says_nothing_is_an_error_of_the_model() -> None:
    assert "gave no answer" in refusal(lambda _: (200, {}, completion({"content": ""}))).sentence
    assert "content filter" in refusal(lambda _: (200, {}, completion({"content": ""}, "content_filter"))).sentence


def test_an_answer_that_was_cut_says_so_and_a_refusal_of_the_model_is_its_answer() -> None:
    reply, _ = ask(lambda _: (200, {}, completion({"content": "6."}, "length")))
    assert reply.message.content == "6." + CUT
    reply, _ = ask(lambda _: (200, {}, completion({"content": None, "refusal": "I cannot help with that."})))
    assert reply.message.content == "I cannot help with that."


def test_text_that_utf8_cannot_hold_is_mended() -> None:
    body = json.dumps(completion({"content": "half \ud800"}))
    reply, _ = ask(lambda _: (200, {}, body))
    assert reply.message.content == "half ?"


def test_a_server_that_does_not_count_tokens_has_them_estimated() -> None:
    answer = completion({"content": "six"}) | {"usage": None}
    reply, _ = ask(lambda _: (200, {}, answer))
    assert reply.tokens > 0
