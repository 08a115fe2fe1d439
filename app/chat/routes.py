"""The chat's routes, for the API to mount."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, status

from app.api.pages import CursorError, Page, Place
from app.chat.agent import Agent, used
from app.chat.model import Assistant, ChatModel, Message, ModelError, User
from app.chat.schemas import Answer, Chat, ChatPage, Question, Said
from app.chat.store import Conversation, FullError, Kept, Store
from app.common.identity import Identity
from app.common.limits import RateLimits
from app.common.web import refusals

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
"""How long POST /chat may take as a whole: the agent's own limit, and time for the database."""
# What the model is reminded of when a chat goes on.
REMEMBERED_MESSAGES = 20
REMEMBERED_CHARACTERS = 16_000


def router(
    store: Store, model: ChatModel, current: Callable[..., Awaitable[Identity]], limits: RateLimits
) -> APIRouter:
    """POST /chat, GET /chat and GET /chat/{id}. `current` is the dependency that says who is asking."""
    agent = Agent(model)
    routes = APIRouter(prefix="/chat", tags=["chat"], responses=refusals(401, 422))
    me = Depends(current)

    @routes.post("", responses=refusals(400, 404, 409, 429, 503))
    async def ask(question: Question, identity: Annotated[Identity, me]) -> Answer:
        """Ask about your own labs. The answer comes from a language model that can look them up, and nothing else.

        503 where the language model is away; nothing is kept of the question then.
        """
        earlier: Sequence[Message] = ()
        if question.chat_id is not None:
            chat = await store.get(question.chat_id)
            # An operator too goes on with an own chat only: the tools read the labs of whoever asks.
            if chat is None or chat.owner_id != identity.user_id:
                raise not_found()
            earlier = remembered(chat.messages)
        await limits.hit(limits.rates.chat_by_account, "chat", str(identity.user_id))
        try:
            turn = await agent.answer(store.labs(identity.user_id), earlier, question.message)
        except ModelError as error:
            log.warning("the language model gave no answer", extra={"reason": error.reason})
            headers = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else None
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, error.sentence, headers) from error
        try:
            chat_id = await store.add(identity.user_id, question.chat_id, turn.messages)
        except FullError as error:
            raise HTTPException(status.HTTP_409_CONFLICT, "This chat is full; please begin a new one.") from error
        return Answer(chat_id=chat_id, answer=turn.answer, tools=list(turn.tools))

    @routes.get("")
    async def chats(
        identity: Annotated[Identity, me],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ChatPage:
        """Your own chats, the newest first."""
        try:
            after = None if cursor is None else Place.read(cursor)
        except CursorError as error:
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from error
        # One more than is shown tells whether there is a next page.
        found = list(await store.page(identity.user_id, Page(limit + 1, after)))
        items, more = found[:limit], len(found) > limit
        return ChatPage(items=items, next_cursor=Place(items[-1].created_at, items[-1].id).cursor() if more else None)

    @routes.get("/{chat_id}", responses=refusals(404))
    async def chat(chat_id: UUID, identity: Annotated[Identity, me]) -> Chat:
        """A chat of yours; an operator may read any."""
        found = await store.get(chat_id)
        if found is None or not (found.owner_id == identity.user_id or identity.is_operator):
            raise not_found()
        return shown(found)

    return routes


def not_found() -> HTTPException:
    """404, alike for a chat that is not there and one that is another's."""
    return HTTPException(status.HTTP_404_NOT_FOUND, "There is no such chat.")


def remembered(kept: Iterable[Kept]) -> Sequence[Message]:
    """The end of a chat, as far as the model is reminded of it: questions and answers, without what tools brought."""
    messages: list[Message] = []
    room = REMEMBERED_CHARACTERS
    for message in reversed([one.message for one in kept if is_said(one.message)]):
        room -= len(message.content)
        if room < 0 or len(messages) == REMEMBERED_MESSAGES:
            break
        messages.append(message)
    return [Assistant(content=one.content) if isinstance(one, Assistant) else one for one in reversed(messages)]


def is_said(message: Message) -> bool:
    """Whether a message is a question or an answer."""
    return isinstance(message, User) or (isinstance(message, Assistant) and not message.tool_calls)


def shown(chat: Conversation) -> Chat:
    """A chat for the person whose it is: each answer with the tools that were used since the question."""
    said: list[Said] = []
    since: list[Message] = []
    for kept in chat.messages:
        message = kept.message
        since.append(message)
        if isinstance(message, User):
            since = []
            said.append(Said(role="user", content=message.content, tools=[], created_at=kept.created_at))
        elif isinstance(message, Assistant) and not message.tool_calls:
            tools = list(used(since))
            said.append(Said(role="assistant", content=message.content, tools=tools, created_at=kept.created_at))
    return Chat(id=chat.id, created_at=chat.created_at, messages=said)
