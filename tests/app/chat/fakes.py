"""What the chat's tests put in the place of others: a language model that follows a script, labs and a store in memory,
and a server on loopback that speaks OpenAI's protocol. All of them are fakes."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

from app.api.pages import Page
from app.chat.labs import CategoryCount, DatedResult, OwnLabs, RecentPanel, TrendMonth
from app.chat.model import Assistant, ChatModel, Message, Reply, ToolCall, ToolDescription, User
from app.chat.schemas import ChatSummary
from app.chat.store import MAX_MESSAGES, Conversation, FullError, Kept, Store, title

ENTERED = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
HBA1C = DatedResult(
    test_name="HbA1c",
    value=6.1,
    unit="%",
    reference_low=4.0,
    reference_high=5.6,
    against_range="above",
    category="diabetes",
    entered_at=ENTERED,
    patient_reference="patient-17",
)


class ScriptedFakeChat(ChatModel):
    """Says what its script says, a message a time (an exception is raised), the last one for ever."""

    def __init__(self, *script: Assistant | Exception, tokens: int = 100, seconds: float = 0.0) -> None:
        self.script = list(script)
        self.tokens = tokens
        self.seconds = seconds
        self.asked: list[list[Message]] = []
        self.tools: list[Sequence[ToolDescription]] = []
        self.must_answer: list[bool] = []

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolDescription], must_answer: bool) -> Reply:
        self.asked.append(list(messages))
        self.tools.append(tools)
        self.must_answer.append(must_answer)
        await asyncio.sleep(self.seconds)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        return Reply(said, self.tokens)


def calls(*names_and_arguments: tuple[str, str]) -> Assistant:
    """A message that asks for tools."""
    return Assistant(
        tool_calls=tuple(
            ToolCall(id=f"call-{index}", name=name, arguments=arguments)
            for index, (name, arguments) in enumerate(names_and_arguments)
        )
    )


class MemoryLabs(OwnLabs):
    """Labs of one owner in a list; `asked` is how they were read, `away` is what every method raises."""

    def __init__(self, *results: DatedResult) -> None:
        self.results = list(results)
        self.asked: list[tuple[Any, ...]] = []
        self.away: Exception | None = None

    def _read(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.away:
            raise self.away

    async def recent_panels(self, limit: int) -> Sequence[RecentPanel]:
        self._read("recent_panels", limit)
        return [
            RecentPanel(
                entered_at=one.entered_at,
                patient_reference=one.patient_reference,
                status="done",
                results=(one,),
            )
            for one in self.results[:limit]
        ]

    async def history(self, test_name: str, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        self._read("history", test_name, patient_reference, limit)
        return [one for one in self.results if test_name.lower() in one.test_name.lower()][:limit]

    async def out_of_range(self, patient_reference: str | None, limit: int) -> Sequence[DatedResult]:
        self._read("out_of_range", patient_reference, limit)
        return [one for one in self.results if one.against_range in ("below", "above")][:limit]

    async def trends(self, test_name: str | None, category: str | None, limit: int) -> Sequence[TrendMonth]:
        self._read("trends", test_name, category, limit)
        return []

    async def categories(self) -> Sequence[CategoryCount]:
        self._read("categories")
        return []


class MemoryStore(Store):
    """Chats in memory, and labs by owner."""

    def __init__(self) -> None:
        self.chats: dict[UUID, Conversation] = {}
        self.labs_of: dict[UUID, MemoryLabs] = {}

    def labs(self, owner_id: UUID) -> OwnLabs:
        return self.labs_of.setdefault(owner_id, MemoryLabs())

    async def add(self, owner_id: UUID, chat_id: UUID | None, messages: Sequence[Message]) -> UUID:
        chat_id = chat_id or uuid4()
        began = ENTERED + timedelta(minutes=len(self.chats))
        chat = self.chats.get(chat_id) or Conversation(chat_id, owner_id, began, ())
        kept = (*chat.messages, *(Kept(message, began) for message in messages))
        if len(kept) > MAX_MESSAGES:
            raise FullError
        self.chats[chat_id] = Conversation(chat_id, chat.owner_id, chat.created_at, kept)
        return chat_id

    async def get(self, chat_id: UUID) -> Conversation | None:
        return self.chats.get(chat_id)

    async def page(self, owner_id: UUID, page: Page) -> Sequence[ChatSummary]:
        newest_first = sorted(self.chats.values(), key=lambda chat: (chat.created_at, chat.id), reverse=True)
        return [
            ChatSummary(id=chat.id, created_at=chat.created_at, title=title(chat.messages[0].message))
            for chat in newest_first
            if chat.owner_id == owner_id
            and (page.after is None or (chat.created_at, chat.id) < (page.after.created_at, page.after.id))
        ][: page.limit]


Answers = Callable[[dict[str, Any]], tuple[int, dict[str, str], Any]]


class FakeOpenAI:
    """A server on loopback that speaks OpenAI's chat completions.

    `answers` maps a request's body to status, headers and body (JSON, or text as it is); None never answers.
    """

    def __init__(self, answers: Answers | None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                fake.requests.append(body)
                fake.keys.append(self.headers["authorization"])
                if answers is None:
                    time.sleep(1.0)
                    return
                status, headers, answer = answers(body)
                content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Nothing: tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @contextmanager
    def running(self) -> Iterator["FakeOpenAI"]:
        """Serve while the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def completion(message: dict[str, Any], finish_reason: str = "stop", tokens: int = 42) -> dict[str, Any]:
    """A chat completion as OpenAI gives it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_770_000_000,
        "model": "gpt-fake",
        "choices": [
            {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason, "logprobs": None}
        ],
        "usage": {"prompt_tokens": tokens - 2, "completion_tokens": 2, "total_tokens": tokens},
    }


def failure(message: str, code: str | None) -> dict[str, Any]:
    """An error as OpenAI gives it."""
    return {"error": {"message": message, "type": "some_error", "param": None, "code": code}}


QUESTION = User(content="What is my HbA1c?")
