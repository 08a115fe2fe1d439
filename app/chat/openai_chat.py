"""OpenAI's chat completions as the language model."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from app.chat.model import (
    Assistant,
    ChatModel,
    Message,
    ModelError,
    Reply,
    System,
    ToolCall,
    ToolDescription,
    ToolResult,
    User,
)

TRY_TIMEOUT_SECONDS = 20.0
RETRIES = 1
# Enough for a page of text, or for a reasoning model's thoughts and a paragraph.
MAX_ANSWER_TOKENS = 2_000
MOST_RETRY_AFTER_SECONDS = 60
CHARACTERS_A_TOKEN = 4

CUT = " (The answer is cut here: it reached its limit.)"
OPERATOR = "this needs an operator."


class OpenAIChat(ChatModel):
    """A model of OpenAI's, or of a server that speaks the same protocol at `base_url`."""

    def __init__(
        self, api_key: str, model: str, base_url: str | None = None, timeout_seconds: float = TRY_TIMEOUT_SECONDS
    ) -> None:
        self._model = model
        self._client = AsyncOpenAI(api_key=api_key, base_url=base_url, timeout=timeout_seconds, max_retries=RETRIES)

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolDescription], must_answer: bool) -> Reply:
        """Ask once; the SDK tries again where that helps."""
        wire: Any = [to_wire(message) for message in messages]
        try:
            completion = await self._client.chat.completions.create(
                model=self._model,
                messages=wire,
                tools=[
                    {
                        "type": "function",
                        "function": {
                            "name": tool.name,
                            "description": tool.description,
                            "parameters": dict(tool.parameters),
                        },
                    }
                    for tool in tools
                ],
                tool_choice="none" if must_answer else "auto",
                max_completion_tokens=MAX_ANSWER_TOKENS,
                store=False,  # a patient's data is not for OpenAI to keep
            )
        except openai.OpenAIError as error:
            raise model_error(error) from None  # OpenAI's text may repeat the key or the question
        except ValueError as error:
            raise unreadable(type(error).__name__) from None
        return read(completion, sum(len(json.dumps(message)) for message in wire))


def to_wire(message: Message) -> dict[str, Any]:
    """A message as the protocol has it."""
    match message:
        case System() | User():
            return {"role": message.role, "content": message.content}
        case ToolResult():
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
        case Assistant(tool_calls=()):
            return {"role": "assistant", "content": message.content}
        case Assistant():
            return {
                "role": "assistant",
                "content": message.content or None,
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                    for call in message.tool_calls
                ],
            }


def read(completion: ChatCompletion, characters_sent: int) -> Reply:
    """The reply in what came back. The SDK does not check it against its own types, so it may be anything."""
    try:
        choice = completion.choices[0]
        said = choice.message
        content = text(said.content or said.refusal or "")
        calls = tuple(read_calls(said.tool_calls or ()))
        finished = choice.finish_reason
        used = completion.usage.total_tokens if completion.usage else None
    except (AttributeError, IndexError, TypeError) as error:
        raise unreadable(type(error).__name__) from None
    if finished == "content_filter" and not content:
        raise ModelError("The language model's content filter kept the answer back.", "finish_reason content_filter")
    if not content and not calls:
        raise ModelError("The language model gave no answer; please ask again.", f"empty, finish_reason {finished}")
    if finished == "length" and not calls:
        content += CUT
    if not isinstance(used, int):
        used = (characters_sent + len(content)) // CHARACTERS_A_TOKEN
    return Reply(Assistant(content=content, tool_calls=calls), used)


def read_calls(calls: Iterable[Any]) -> Iterable[ToolCall]:
    """The tool calls that are functions' (no others are offered)."""
    for call in calls:
        if call.type == "function":
            yield ToolCall(
                id=text(call.id), name=text(call.function.name), arguments=text(call.function.arguments or "")
            )


def text(value: Any) -> str:
    """Text that UTF-8 can hold: half a surrogate pair, which JSON can, becomes a question mark."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return value.encode("utf-8", "replace").decode()


def unreadable(reason: str) -> ModelError:
    """The answer is not in the protocol."""
    return ModelError("The language model's answer could not be read; please try again.", reason)


def model_error(error: openai.OpenAIError) -> ModelError:
    """What went wrong, by its kind. OpenAI's own text is left out: for a wrong key it shows parts of it."""
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error, openai.APITimeoutError):
            return ModelError("The language model did not answer in time; please try again.", "timeout")
        if isinstance(error, openai.APIConnectionError):
            return ModelError("The language model cannot be reached at the moment; please try again.", "no connection")
        return unreadable(type(error).__name__)
    reason = f"HTTP {error.status_code}, code {error.code}, request {error.request_id}"
    match error:
        case openai.RateLimitError(code="insufficient_quota"):
            return ModelError(f"The language model's quota is used up: {OPERATOR}", reason)
        case openai.RateLimitError():
            return ModelError("The language model is busy; please try again.", reason, retry_after(error))
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return ModelError(f"The language model does not accept this service's key: {OPERATOR}", reason)
        case openai.NotFoundError():
            return ModelError(f"The language model that is configured is not there: {OPERATOR}", reason)
        case openai.InternalServerError():
            return ModelError("The language model has a problem at the moment; please try again.", reason)
    return ModelError("The language model refused the question.", reason)


def retry_after(error: openai.APIStatusError) -> int | None:
    """The seconds that the answer asks us to wait, where it names a sensible number."""
    value = error.response.headers.get("retry-after", "")
    return min(int(value), MOST_RETRY_AFTER_SECONDS) if value.isascii() and value.isdigit() else None
