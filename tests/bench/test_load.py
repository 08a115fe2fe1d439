"""wrk: what it is told, and what it says."""

import json
from pathlib import Path

import pytest

from bench import load
from devcloud.util.console import UserError

SAID = """Running 10s test @ http://127.0.0.1:8000
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    18.51ms   11.03ms 160.59ms   93.15%
    Req/Sec     0.92k   166.70     1.16k    75.00%
  Latency Distribution
     50%   15.69ms
     75%   18.34ms
     90%   25.71ms
     99%   71.35ms
  9156 requests in 10.01s, 3.02MB read
Requests/sec:    914.70
Transfer/sec:    309.06KB
"""


def test_the_rate_and_the_99th_percentile_are_read() -> None:
    assert load.read(SAID) == load.Load(9156, 914.70, 71.35, 0)


@pytest.mark.parametrize(("text", "ms"), [("71.35us", 0.07135), ("1.20s", 1200.0), ("1.00m", 60_000.0)])
def test_every_unit_of_a_percentile_is_milliseconds(text: str, ms: float) -> None:
    assert load.read(SAID.replace("71.35ms", text)).p99_ms == pytest.approx(ms)


def test_refused_and_broken_requests_have_failed() -> None:
    said = SAID.replace(
        "Requests/sec",
        "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 40\nRequests/sec",
    )
    assert load.read(said).failed == 46


def test_what_is_no_summary_is_refused() -> None:
    with pytest.raises(UserError, match="wrk did not say what was expected: unable to connect"):
        load.read("unable to connect")


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
