"""Structured logs."""

import json
import logging

from app.common.logs import JsonFormatter


def test_a_record_is_one_line_of_json_with_its_extras() -> None:
    record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "took %s", "args": ("two\nlines",)})
    record.lab_id = "17"
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "took two\nlines"
    assert line["level"] == "INFO"
    assert line["lab_id"] == "17"
    assert line["time"].endswith("+00:00")


def test_an_exception_is_in_the_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, error.__traceback__)})
    assert "ValueError: broken" in json.loads(JsonFormatter().format(record))["exception"]
