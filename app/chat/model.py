"""The language model, as the rest of the chat sees it: messages in, one message out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Frozen(BaseModel):
    """A message or a part of one. What is written into the database is read back as the same value."""

    model_config = ConfigDict(frozen=True)


class System(Frozen):
    """What the model is told before anyone speaks."""

    role: Literal["system"] = "system"
    content: str


class User(Frozen):
    """What a person wrote."""

    role: Literal["user"] = "user"
    content: str


class ToolCall(Frozen):
    """A tool that the model asks for. `arguments` is what it wrote, which may be no JSON at all."""

    id: str
    name: str
    arguments: str


class Assistant(Frozen):
    """What the model answers: text, tool calls, or both."""

    role: Literal["assistant"] = "assistant"
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ToolResult(Frozen):
    """What the tool call `call_id` brought, as JSON."""

    role: Literal["tool"] = "tool"
    call_id: str
    name: str
    content: str


Message = Annotated[System | User | Assistant | ToolResult, Field(discriminator="role")]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


@dataclass(frozen=True)
class ToolDescription:
    """What the model is told about a tool; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """The model's message, and the tokens that it cost: those read and those written."""

    message: Assistant
    tokens: int


class ModelError(Exception):
    """The model gives no answer.

    `sentence` is for the person who asked, `reason` for the log; neither holds a key or a patient's data.
    """

    def __init__(self, sentence: str, reason: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(f"{sentence} ({reason})")
        self.sentence = sentence
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class ChatModel(Protocol):
    """A language model that can ask for tools."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolDescription], must_answer: bool) -> Reply:
        """What the model says next; with `must_answer` it is told not to ask for tools. ModelError: it says nothing."""
