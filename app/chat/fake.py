"""A fake language model, for tests and `make dev`: it picks a tool by a word of the question, and reads out its rows.

Chosen by CHAT_MODEL=fake only, never because something else is missing.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from app.chat.model import Assistant, ChatModel, Message, Reply, ToolCall, ToolDescription, ToolResult, User

log = logging.getLogger(__name__)

SAYS_SO = "This is FakeChat, which is no language model."
TOOL_BY_WORD = {
    "range": "out_of_range",
    "abnormal": "out_of_range",
    "trend": "trends",
    "categor": "categories",
    "history of ": "test_history",
}
ROWS = 10


class FakeChat(ChatModel):
    """A fake: the same question over the same labs gets the same answer, and says that no model gave it."""

    def __init__(self) -> None:
        log.warning("CHAT_MODEL is fake: answers come from FakeChat, no language model is asked")

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolDescription], must_answer: bool) -> Reply:
        """A tool call for a question, a list for its result."""
        last = messages[-1]
        if isinstance(last, User) and tools and not must_answer:
            return Reply(Assistant(tool_calls=(choose(last.content),)), tokens=0)
        if isinstance(last, ToolResult):
            return Reply(Assistant(content=read_out(json.loads(last.content))), tokens=0)
        return Reply(Assistant(content=SAYS_SO), tokens=0)


def choose(question: str) -> ToolCall:
    """The tool for the first known word; for `history of NAME` with that name."""
    question = question.lower()
    word = next((word for word in TOOL_BY_WORD if word in question), None)
    arguments = {"test_name": question.partition(word)[2].strip(" ?.")} if word == "history of " else {}
    return ToolCall(
        id="fake-1", name=TOOL_BY_WORD[word] if word else "list_recent_panels", arguments=json.dumps(arguments)
    )


def read_out(result: dict[str, Any]) -> str:
    """The first rows of a tool's result, one a line."""
    rows = result.get("rows", [])
    lines = [" · ".join(f"{key} {value}" for key, value in row.items() if value not in (None, [])) for row in rows]
    return "\n".join([f"{SAYS_SO} Your labs have {len(rows)} such rows:", *lines[:ROWS]])
