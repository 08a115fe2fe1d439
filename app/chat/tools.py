"""The tools that the model may ask for.

None has an argument for whose labs are read: that is not the model's to say.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.chat.labs import OwnLabs
from app.chat.model import ToolCall, ToolDescription, ToolResult

MOST_ROWS = 50
MOST_PANELS = 10
MAX_RESULT_CHARACTERS = 6_000

# PostgreSQL's text holds no NUL.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]


class Arguments(BaseModel):
    """What a tool is asked with; anything else is refused."""

    model_config = ConfigDict(extra="forbid")


class RecentPanels(Arguments):
    """Of list_recent_panels."""

    limit: Annotated[int, Field(ge=1, le=MOST_PANELS)] = 5


class History(Arguments):
    """Of test_history."""

    test_name: Name
    patient_reference: Name | None = None
    limit: Rows = 20


class OutOfRange(Arguments):
    """Of out_of_range."""

    patient_reference: Name | None = None
    limit: Rows = 20


class Trends(Arguments):
    """Of trends."""

    test_name: Name | None = None
    category: Name | None = None
    limit: Rows = 24


class Categories(Arguments):
    """Of categories, which needs none."""


@dataclass(frozen=True)
class Tool:
    """What the model is told, what it must give, and what is done with one owner's labs."""

    description: str
    arguments: type[Arguments]
    use: Callable[[OwnLabs, Any], Awaitable[Sequence[BaseModel]]]


TOOLS = {
    "list_recent_panels": Tool(
        "The lab panels entered last, newest first, each with its results, units and reference ranges.",
        RecentPanels,
        lambda labs, given: labs.recent_panels(given.limit),
    ),
    "test_history": Tool(
        "One test's results over time, newest first. The name matches in part: creatinine, HbA1c, LDL.",
        History,
        lambda labs, given: labs.history(given.test_name, given.patient_reference, given.limit),
    ),
    "out_of_range": Tool(
        "Results below or above the reference range that the laboratory gave, newest first.",
        OutOfRange,
        lambda labs, given: labs.out_of_range(given.patient_reference, given.limit),
    ),
    "trends": Tool(
        "Count, mean, minimum, maximum and latest a month, for each test and unit, over all patients of the user.",
        Trends,
        lambda labs, given: labs.trends(given.test_name, given.category, given.limit),
    ),
    "categories": Tool(
        "The categories of the user's results (lipids, kidney, thyroid ...), each with counts and the last time.",
        Categories,
        lambda labs, _: labs.categories(),
    ),
}


def describe() -> tuple[ToolDescription, ...]:
    """The tools as the model is told about them."""
    return tuple(
        ToolDescription(name, tool.description, tool.arguments.model_json_schema()) for name, tool in TOOLS.items()
    )


async def call_tool(labs: OwnLabs, call: ToolCall) -> ToolResult:
    """The rows that a call brings, as {"rows": [...]}; a call that cannot be done brings {"error": why} for the model.

    May raise one of app.common.database.FAILURES, which is not the model's to mend.
    """
    tool = TOOLS.get(call.name)
    if tool is None:
        return failed(call, f"There is no tool of that name; there are {', '.join(TOOLS)}.")
    try:
        arguments = tool.arguments.model_validate_json(call.arguments or "{}")
    except ValidationError as error:
        return failed(
            call, "; ".join(f"{'.'.join(map(str, at['loc'])) or 'arguments'}: {at['msg']}" for at in error.errors())
        )
    rows = await tool.use(labs, arguments)
    return ToolResult(call_id=call.id, name=call.name, content=as_json(rows))


def failed(call: ToolCall, why: str) -> ToolResult:
    """A result that tells the model what was wrong with its call."""
    return ToolResult(call_id=call.id, name=call.name[:64], content=json.dumps({"error": why[:500]}))


def as_json(rows: Sequence[BaseModel]) -> str:
    """The rows that fit into MAX_RESULT_CHARACTERS, and how many do not."""
    kept: list[str] = []
    room = MAX_RESULT_CHARACTERS
    for row in rows:
        line = row.model_dump_json()
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    left_out = f', "left_out": {len(rows) - len(kept)}' if len(kept) < len(rows) else ""
    return f'{{"rows": [{", ".join(kept)}]{left_out}}}'
