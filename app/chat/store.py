"""The chats in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import and_, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.pages import Page
from app.chat.labs import OwnLabs, PostgresLabs
from app.chat.model import MESSAGE, Message
from app.chat.schemas import ChatSummary
from app.common import database
from app.common.tables import chat_messages, chats

MAX_MESSAGES = 400
"""Messages that a chat holds, those of tools included: about a hundred questions."""
MAX_TITLE = 80


class FullError(Exception):
    """The chat has no room for another question."""


@dataclass(frozen=True)
class Kept:
    """A message and when it was written."""

    message: Message
    created_at: datetime


@dataclass(frozen=True)
class Conversation:
    """A chat as it is kept, with whose it is."""

    id: UUID
    owner_id: UUID
    created_at: datetime
    messages: tuple[Kept, ...]


class Store(Protocol):
    """Where chats are kept, and labs read. Every method may raise one of app.common.database.FAILURES."""

    def labs(self, owner_id: UUID) -> OwnLabs:
        """The labs of one owner."""

    async def add(self, owner_id: UUID, chat_id: UUID | None, messages: Sequence[Message]) -> UUID:
        """Add a turn to a chat, or to a new one of `owner_id`; the chat's id. FullError: it has no room."""

    async def get(self, chat_id: UUID) -> Conversation | None:
        """A chat with all that was said; None where there is no such chat."""

    async def page(self, owner_id: UUID, page: Page) -> Sequence[ChatSummary]:
        """Some of an owner's chats, the newest first."""


class PostgresStore(Store):
    """The store behind the running API."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = database.reading(engine)

    def labs(self, owner_id: UUID) -> OwnLabs:
        """Queries that begin at that owner."""
        return PostgresLabs(self._engine, owner_id)

    async def add(self, owner_id: UUID, chat_id: UUID | None, messages: Sequence[Message]) -> UUID:
        """Write the turn in one transaction. A chat is locked for it, so that two turns at once follow each other."""
        async with self._engine.begin() as connection:
            if chat_id is None:
                chat_id = uuid4()
                await connection.execute(insert(chats).values(id=chat_id, owner_id=owner_id))
            await connection.execute(select(chats.c.id).where(chats.c.id == chat_id).with_for_update())
            count = select(func.count()).select_from(chat_messages).where(chat_messages.c.chat_id == chat_id)
            begin = await connection.scalar(count) or 0
            if begin + len(messages) > MAX_MESSAGES:
                raise FullError
            await connection.execute(
                insert(chat_messages),
                [
                    {
                        "chat_id": chat_id,
                        "position": begin + index,
                        "role": message.role,
                        "content": message.model_dump_json(),
                    }
                    for index, message in enumerate(messages)
                ],
            )
        return chat_id

    async def get(self, chat_id: UUID) -> Conversation | None:
        """The chat, in the order in which it was said."""
        async with self._reading.connect() as connection:
            chat = (await connection.execute(select(chats).where(chats.c.id == chat_id))).first()
            if chat is None:
                return None
            rows = await connection.execute(
                select(chat_messages.c.content, chat_messages.c.created_at)
                .where(chat_messages.c.chat_id == chat_id)
                .order_by(chat_messages.c.position)
            )
            messages = tuple(Kept(MESSAGE.validate_json(row.content), row.created_at) for row in rows)
        return Conversation(chat.id, chat.owner_id, chat.created_at, messages)

    async def page(self, owner_id: UUID, page: Page) -> Sequence[ChatSummary]:
        """The chats with the beginning of their first messages."""
        first = and_(chat_messages.c.chat_id == chats.c.id, chat_messages.c.position == 0)
        query = (
            select(chats.c.id, chats.c.created_at, chat_messages.c.content)
            .join(chat_messages, first)
            .where(chats.c.owner_id == owner_id)
            .order_by(chats.c.created_at.desc(), chats.c.id.desc())
            .limit(page.limit)
        )
        if page.after is not None:
            query = query.where(tuple_(chats.c.created_at, chats.c.id) < (page.after.created_at, page.after.id))
        async with self._reading.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            ChatSummary(id=row.id, created_at=row.created_at, title=title(MESSAGE.validate_json(row.content)))
            for row in rows
        ]


def title(first: Message) -> str:
    """The beginning of a chat's first question, on one line."""
    line = " ".join(first.content.split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1]}…"
