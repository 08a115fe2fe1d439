"""Load by wrk, which is bound by connections and seconds; what it says, read."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcloud.util.console import UserError

CONNECTIONS = 16
"""Enough to keep one CPU busy, few enough that the 99th percentile is the service's and not the queue's before it."""
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """What a service answered under load."""

    requests: int
    rate: float
    """Answers a second."""
    p99_ms: float
    failed: int
    """Answers that were none of 2xx and 3xx, and requests without an answer."""


def script(method: str, path: str, token: str, body: Mapping[str, object] | None = None) -> str:
    """A script for wrk: one request, again and again."""
    lines = [f'wrk.method = "{method}"', f'wrk.path = "{path}"', f'wrk.headers["Authorization"] = "Bearer {token}"']
    if body is not None:
        # A JSON string is a string of Lua's, for the characters that our bodies hold.
        lines += [f"wrk.body = {json.dumps(json.dumps(body))}", 'wrk.headers["Content-Type"] = "application/json"']
    return "\n".join(lines) + "\n"


def read(said: str) -> Load:
    """What wrk said. Raise UserError if it is not wrk's summary."""
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", said, re.MULTILINE)
    count = re.search(r"^\s*(\d+) requests in ", said, re.MULTILINE)
    p99 = re.search(r"^\s*99%\s+([\d.]+)(us|ms|s|m)\s*$", said, re.MULTILINE)
    if rate is None or count is None or p99 is None:
        raise UserError(f"wrk did not say what was expected: {' / '.join(said.splitlines()[-4:])}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed = int(refused[1]) if refused else 0
    failed += sum(map(int, errors.groups())) if errors else 0
    return Load(int(count[1]), float(rate[1]), float(p99[1]) * MILLISECONDS[p99[2]], failed)


def run(address: str, lua: Path, seconds: int) -> Load:
    """Put load on a service of this machine for some seconds. Raise UserError for any other machine's."""
    if not address.startswith("http://127."):
        raise UserError(f"{address} is not on this machine's loopback: the bench loads nothing else.")
    wrk = shutil.which("wrk")
    if wrk is None:
        raise UserError("wrk is not on this machine: `apt-get install wrk` brings it.")
    command = [wrk, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency"]
    done = subprocess.run(
        [*command, "--timeout", "10s", "--script", str(lua), address],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode != 0:
        raise UserError(f"wrk failed (exit {done.returncode}): {' / '.join(done.stderr.splitlines()[-4:])}")
    return read(done.stdout)
