"""wrk: what it is told, and what it says."""

import json
from pathlib import Path

import pytest

from bench import load
from devcloud.util.console import UserError

SAID = """Running 10s test @ http://127.0.0.1:8000
  1 threads and 16 connections
  9156 requests in 10.01s, 3.02MB read
Requests/sec:    914.70
{"requests": 9156, "microseconds": 10010000, "p99": 71350.0, "failed": 46}
"""


def test_the_rate_the_99th_percentile_and_failures_are_read() -> None:
    assert load.read(SAID) == load.Load(9156, pytest.approx(914.7, abs=0.05), 71.35, 46)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["", "unable to connect", "1", "{}", '{"requests": 1, "microseconds": 0}'])
def test_a_text_without_figures_is_refused(said: str) -> None:
    with pytest.raises(UserError, match=f"did not print its figures as JSON, but: {said or 'it said nothing'}"):
        load.read(said)


def test_no_other_machine_is_loaded() -> None:
    with pytest.raises(UserError, match="is not on this machine's loopback"):
        load.run("http://192.0.2.1:80", Path("x.lua"), 1)


def test_a_script_asks_for_one_thing_with_the_token() -> None:
    text = load.script("POST", "/labs", "tok", {"name": 'a "b" é'})
    assert 'wrk.method = "POST"' in text
    assert 'wrk.headers["Authorization"] = "Bearer tok"' in text
    body = text.split("wrk.body = ", 1)[1].splitlines()[0]
    assert json.loads(json.loads(body)) == {"name": 'a "b" é'}
    assert "wrk.body" not in load.script("GET", "/labs/1", "tok")
