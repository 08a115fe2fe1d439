"""The chat's routes, over a scripted fake model and a store in memory."""

import asyncio
import contextlib
import json
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Header, HTTPException

from app.chat.model import Assistant, ModelError, ToolResult, User
from app.chat.routes import router
from app.chat.schemas import MAX_QUESTION
from app.chat.store import MAX_MESSAGES
from app.common.identity import Identity
from app.common.limits import Rates, TooMany
from app.common.web import application
from tests.app.chat.fakes import HBA1C, MemoryLabs, MemoryStore, ScriptedFakeChat, calls
from tests.app.swapped import Swapped

ANN = Identity(UUID(int=1), "ann@example.org", "user")
BOB = Identity(UUID(int=2), "bob@example.org", "user")
OPERATOR = Identity(UUID(int=3), "operator@example.org", "operator")
PEOPLE = {person.email.partition("@")[0]: person for person in (ANN, BOB, OPERATOR)}
ANSWER = Assistant(content="HbA1c was 6.1 %.")


async def current(person: Annotated[str | None, Header()] = None) -> Identity:
    if person is None:
        raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})
    return PEOPLE[person]


STORE, MODEL, COUNTS = Swapped(), Swapped(), Swapped()
APP = application("test", "test", lambda _: contextlib.nullcontext())  # type: ignore[arg-type]
APP.include_router(router(STORE, MODEL, current, COUNTS))  # type: ignore[arg-type]


class Counted:
    """Counts questions, and lets as many pass as it is told."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.rates = Rates()

    async def hit(self, rate: str, what: str, who: str) -> None:
        self.most -= 1
        if self.most < 0:
            raise TooMany(90)


class Api:
    """An app with nothing but the chat, what it stands on as new, and a client that asks it one thing at a time."""

    def __init__(self, *script: Assistant | Exception) -> None:
        self.model = ScriptedFakeChat(*(script or (ANSWER,)))
        self.store = MemoryStore()
        STORE.to, MODEL.to, COUNTS.to = self.store, self.model, Counted()

    def ask(self, person: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
            headers = {"person": person} if person else {}
            async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def post(self, person: str, message: str = "What is my HbA1c?", chat_id: str | None = None) -> httpx.Response:
        return self.ask(person, "POST", "/chat", json={"message": message, "chat_id": chat_id})


@pytest.fixture
def api() -> Api:
    return Api()


def test_who_asks_too_much_is_told_when_to_go_on_and_costs_nothing() -> None:
    api = Api(ANSWER, ANSWER)
    COUNTS.to = Counted(1)
    assert api.post("ann").status_code == 200
    refused = api.post("ann")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "90"
    assert len(api.model.asked) == 1


def test_a_question_is_answered_and_the_chat_is_kept() -> None:
    api = Api(calls(("out_of_range", "{}")), ANSWER)
    api.store.labs_of[ANN.user_id] = MemoryLabs(HBA1C)
    answer = api.post("ann")
    assert answer.status_code == 200
    assert answer.json() == {
        "chat_id": answer.json()["chat_id"],
        "answer": "HbA1c was 6.1 %.",
        "tools": ["out_of_range"],
    }
    chat = api.ask("ann", "GET", f"/chat/{answer.json()['chat_id']}").json()
    assert [(said["role"], said["content"], said["tools"]) for said in chat["messages"]] == [
        ("user", "What is my HbA1c?", []),
        ("assistant", "HbA1c was 6.1 %.", ["out_of_range"]),
    ]


def test_the_tools_read_the_labs_of_whoever_asks_and_of_an_operator_too() -> None:
    for name, person in PEOPLE.items():
        api = Api(calls(("test_history", json.dumps({"test_name": f"of user {UUID(int=2)}"}))), ANSWER)
        assert api.post(name).status_code == 200
        assert list(api.store.labs_of) == [person.user_id]


def test_a_chat_goes_on_and_the_model_is_reminded_of_what_was_said() -> None:
    api = Api(calls(("out_of_range", "{}")), ANSWER)
    chat_id = api.post("ann").json()["chat_id"]
    answer = api.post("ann", "And before?", chat_id)
    assert answer.json()["chat_id"] == chat_id
    assert api.model.asked[-1][1:] == [User(content="What is my HbA1c?"), ANSWER, User(content="And before?")]
    assert len(api.ask("ann", "GET", f"/chat/{chat_id}").json()["messages"]) == 4


def test_a_chat_of_another_user_is_not_found_and_nothing_is_asked(api: Api) -> None:
    chat_id = api.post("ann").json()["chat_id"]
    for answer in (api.ask("bob", "GET", f"/chat/{chat_id}"), api.post("bob", chat_id=chat_id)):
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such chat."})
    assert api.ask("bob", "GET", "/chat").json()["items"] == []
    assert len(api.model.asked) == 1


def test_an_operator_reads_a_chat_but_does_not_go_on_with_it(api: Api) -> None:
    chat_id = api.post("ann").json()["chat_id"]
    assert api.ask("operator", "GET", f"/chat/{chat_id}").status_code == 200
    assert api.post("operator", chat_id=chat_id).status_code == 404


def test_nobody_gets_anything_without_a_token(api: Api) -> None:
    for method, path in (("POST", "/chat"), ("GET", "/chat"), ("GET", f"/chat/{uuid4()}")):
        answer = api.ask(None, method, path, json={"message": "Hello"})
        assert answer.status_code == 401
    assert api.model.asked == []


def test_chats_come_in_pages_the_newest_first(api: Api) -> None:
    for number in range(5):
        api.post("ann", f"Question {number}")
    titles: list[str] = []
    cursor = None
    while True:
        page = api.ask("ann", "GET", "/chat", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        titles += [chat["title"] for chat in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert titles == [f"Question {number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "MjAyNi0wMS0wMSAx", "%00", "=" * 8])
def test_a_cursor_of_anyone_else_is_refused(api: Api, cursor: str) -> None:
    answer = api.ask("ann", "GET", "/chat", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "The cursor is none that this list gave."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "   "},
        {"message": "x" * (MAX_QUESTION + 1)},
        {"message": 7},
        {"message": "Hello", "chat_id": "1"},
        {"message": "Hello", "owner_id": str(BOB.user_id)},
        [],
    ],
)
def test_a_question_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.ask("ann", "POST", "/chat", json=body).status_code == 422
    assert api.model.asked == []


def test_half_a_surrogate_pair_is_refused_and_a_nul_is_not_in_the_way(api: Api) -> None:
    for message, status in (("\\ud800", 422), ("a\\u0000b", 200)):
        body = f'{{"message": "{message}"}}'
        answer = api.ask("ann", "POST", "/chat", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status


def test_a_model_that_is_away_is_a_503_with_its_sentence_and_nothing_is_kept() -> None:
    api = Api(ModelError("The language model is busy; please try again.", "HTTP 429", 7))
    answer = api.post("ann")
    assert answer.status_code == 503
    assert answer.json() == {"detail": "The language model is busy; please try again."}
    assert answer.headers["retry-after"] == "7"
    assert api.store.chats == {}


def test_a_database_that_is_away_is_a_503() -> None:
    api = Api(calls(("categories", "{}")))
    api.store.labs_of[ANN.user_id] = labs = MemoryLabs()
    labs.away = ConnectionRefusedError("postgres")
    answer = api.post("ann")
    assert answer.status_code == 503
    assert "database" in answer.json()["detail"]


def test_a_full_chat_asks_for_a_new_one(api: Api) -> None:
    chat_id = asyncio.run(api.store.add(ANN.user_id, None, [User(content="x")] * (MAX_MESSAGES - 1)))
    answer = api.post("ann", chat_id=str(chat_id))
    assert (answer.status_code, answer.json()["detail"]) == (409, "This chat is full; please begin a new one.")


def test_of_a_long_chat_the_model_is_reminded_of_the_end_only(api: Api) -> None:
    long = [message for number in range(100) for message in (User(content=f"{number} " + "x" * 1_000), ANSWER)]
    long.insert(1, ToolResult(call_id="1", name="trends", content="{}"))  # type: ignore[arg-type]
    chat_id = asyncio.run(api.store.add(ANN.user_id, None, long))
    assert api.post("ann", chat_id=str(chat_id)).status_code == 200
    sent = api.model.asked[0]
    assert len(sent) <= 22
    assert sum(len(message.content) for message in sent[1:]) < 17_000


def test_every_route_is_described_with_an_example_and_its_refusals(api: Api) -> None:
    described = api.ask(None, "GET", "/openapi.json").json()
    post = described["paths"]["/chat"]["post"]
    assert {"200", "400", "401", "404", "409", "422", "503"} <= set(post["responses"])
    assert {"200", "401", "422"} <= set(described["paths"]["/chat"]["get"]["responses"])
    assert {"200", "401", "404", "422"} <= set(described["paths"]["/chat/{chat_id}"]["get"]["responses"])
    for schema in ("Question", "Answer", "Chat", "ChatPage"):
        assert described["components"]["schemas"][schema]["example"]
