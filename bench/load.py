"""Put load on a service by wrk, which is bound by connections and seconds, and read its figures."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcloud.util.console import UserError, ending
from devcloud.util.processes import output

CONNECTIONS = 16
"""Enough to keep one CPU busy, few enough that the 99th percentile is the service's and not the queue's before it."""
DONE = """
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local figures = '{"requests": %d, "microseconds": %d, "p99": %.1f, "failed": %d}\\n'
  io.write(string.format(figures, summary.requests, summary.duration, latency:percentile(99), failed))
end
"""
"""The end of each script: wrk calls it after the load."""


@dataclass(frozen=True)
class Load:
    """The answers of a service under load."""

    requests: int
    rate: float
    """Answers a second."""
    p99_ms: float
    failed: int
    """Answers with an error's status (400 or more), and requests without an answer."""


def script(method: str, path: str, token: str, body: Mapping[str, object] | None = None) -> str:
    """Return a script for wrk: one request, again and again."""
    lines = [f'wrk.method = "{method}"', f'wrk.path = "{path}"', f'wrk.headers["Authorization"] = "Bearer {token}"']
    if body is not None:
        # A JSON string is a string of Lua's, for the characters that our bodies hold.
        lines += [f"wrk.body = {json.dumps(json.dumps(body))}", 'wrk.headers["Content-Type"] = "application/json"']
    return "\n".join(lines) + DONE


def read(said: str) -> Load:
    """Return the figures that our script had wrk print last. Raise UserError if it did not."""
    try:
        figures = json.loads(said.splitlines()[-1])
        seconds = figures["microseconds"] / 1_000_000
        return Load(figures["requests"], figures["requests"] / seconds, figures["p99"] / 1000, figures["failed"])
    except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
        raise UserError(f"wrk did not print its figures as JSON, but: {ending(said)}") from None


def run(address: str, lua: Path, seconds: int) -> Load:
    """Put load on a service of this machine for some seconds. Raise UserError for any other machine's."""
    if not address.startswith("http://127."):
        raise UserError(f"{address} is not on this machine's loopback: the bench loads nothing else.")
    wrk = shutil.which("wrk")
    if wrk is None:
        raise UserError("wrk is not on this machine: `apt-get install wrk` brings it.")
    command = [wrk, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s"]
    return read(output([*command, "--timeout", "10s", "--script", str(lua), address], timeout=seconds + 60))
