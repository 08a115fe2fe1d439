"""The tools, as a model that may be wrong, tricked or broken calls them."""

import asyncio
import json
from typing import Any

import pytest

from app.chat.model import ToolCall
from app.chat.tools import MAX_RESULT_CHARACTERS, TOOLS, call_tool, describe
from tests.app.chat.fakes import HBA1C, MemoryLabs


def use(labs: MemoryLabs, name: str, arguments: str) -> dict[str, Any]:
    result = asyncio.run(call_tool(labs, ToolCall(id="1", name=name, arguments=arguments)))
    assert result.call_id == "1"
    found: dict[str, Any] = json.loads(result.content)
    return found


@pytest.mark.parametrize("name", TOOLS)
def test_no_tool_has_an_argument_for_whose_labs_are_read(name: str) -> None:
    labs = MemoryLabs(HBA1C)
    for argument in ("owner_id", "user_id", "owner", "email", "role"):
        assert "error" in use(labs, name, json.dumps({"test_name": "HbA1c", argument: "someone"}))
    assert labs.asked == []


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("test_history", '{"test_name": ', "Invalid JSON"),
        ("test_history", "[]", "arguments: "),
        ("test_history", "null", "arguments: "),
        ("test_history", "{}", "test_name: Field required"),
        ("test_history", '{"test_name": ""}', "test_name: "),
        ("test_history", '{"test_name": "a\\u0000b"}', "test_name: "),
        ("test_history", '{"test_name": "\\ud800"}', "Invalid JSON"),
        ("test_history", '{"test_name": "x", "limit": 1000000}', "limit: "),
        ("list_recent_panels", '{"limit": -1}', "limit: "),
        ("list_recent_panels", '{"limit": 1e400}', "limit: "),
        ("drop_table", "{}", "There is no tool of that name"),
        ("", "", "There is no tool of that name"),
    ],
)
def test_a_call_that_cannot_be_done_tells_the_model_why(name: str, arguments: str, error: str) -> None:
    labs = MemoryLabs(HBA1C)
    assert error in use(labs, name, arguments)["error"]
    assert labs.asked == []


def test_a_call_without_arguments_takes_the_defaults() -> None:
    labs = MemoryLabs(HBA1C)
    assert len(use(labs, "list_recent_panels", "")["rows"]) == 1
    assert labs.asked == [("recent_panels", 5)]


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    labs = MemoryLabs(*[HBA1C.model_copy(update={"test_name": "HbA1c " + "x" * 190})] * 50)
    result = asyncio.run(call_tool(labs, ToolCall(id="1", name="out_of_range", arguments='{"limit": 50}')))
    found = json.loads(result.content)
    assert 0 < len(found["rows"]) < 50
    assert len(found["rows"]) + found["left_out"] == 50
    assert len(result.content) < MAX_RESULT_CHARACTERS + 200


def test_the_model_is_told_each_tool_with_a_schema_that_refuses_the_rest() -> None:
    for tool in describe():
        assert tool.description
        assert tool.parameters["type"] == "object"
        assert tool.parameters["additionalProperties"] is False
