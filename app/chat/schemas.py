"""Requests and responses of the chat."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_QUESTION = 4_000
"""Characters of a question."""


class Question(BaseModel):
    """A question about one's own labs; `chat_id` continues a chat, without it a new one begins."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"message": "Which of my results are out of range?"}},
    )

    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION)]
    chat_id: UUID | None = None


class Answer(BaseModel):
    """The answer, and the tools that looked up what it says."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "chat_id": "7d1f7c2e-4f0e-4d53-9d1c-0d0f4b1c8a11",
                "answer": "HbA1c was 6.1 % on 3 March 2026, above the laboratory's range (4 to 5.6 %).",
                "tools": ["out_of_range"],
            }
        }
    )

    chat_id: UUID
    answer: str
    tools: list[str]


class ChatSummary(BaseModel):
    """A chat in a list: `title` is the beginning of its first question."""

    id: UUID
    created_at: datetime
    title: str


class ChatPage(BaseModel):
    """Some of one's chats, the newest first; `next_cursor` gives those after them, null where there are none."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "id": "7d1f7c2e-4f0e-4d53-9d1c-0d0f4b1c8a11",
                        "created_at": "2026-03-04T09:30:00Z",
                        "title": "Which of my results are out of range?",
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    items: list[ChatSummary]
    next_cursor: str | None


class Said(BaseModel):
    """One thing said: a question (`user`), or an answer (`assistant`) with the tools that it is based on."""

    role: Literal["user", "assistant"]
    content: str
    tools: Annotated[list[str], Field(default_factory=list)]
    created_at: datetime


class Chat(BaseModel):
    """A chat from its beginning."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "7d1f7c2e-4f0e-4d53-9d1c-0d0f4b1c8a11",
                "created_at": "2026-03-04T09:30:00Z",
                "messages": [
                    {
                        "role": "user",
                        "content": "Which of my results are out of range?",
                        "tools": [],
                        "created_at": "2026-03-04T09:30:00Z",
                    },
                    {
                        "role": "assistant",
                        "content": "HbA1c was 6.1 % on 3 March 2026, above the laboratory's range (4 to 5.6 %).",
                        "tools": ["out_of_range"],
                        "created_at": "2026-03-04T09:30:00Z",
                    },
                ],
            }
        }
    )

    id: UUID
    created_at: datetime
    messages: list[Said]
