"""Keep the figures of `make soak` in docs/reliability.json, and render docs/reliability.md from them.

A run may be a part of all: each figure keeps the seed, the date and the commit of the run that it comes from.
Without a run: `python3 devcloud/bootstrap.py tests.cloud.reliability` renders the page again.
"""

import datetime
import json
import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA, PAGE = ROOT / "docs" / "reliability.json", ROOT / "docs" / "reliability.md"
WANTED = "SLIPWAY_SOAK"
"""Set by `make soak`: other runs of the tests change no file of the repository."""
HEAD = """\
# Releases under load

Written by `make soak` from [reliability.json](reliability.json); do not edit. `make test` has a part of it.

The stack is `local` on the rehearsed host. 84 clients keep their connections, half of them over a link of 80 ms. 48 of
them only send POSTs, after pauses of 0 to 10 s or 25 to 40 s. Nothing is sent twice: what is refused, reset, unanswered
or answered with 5xx has failed. "By `up`" is a whole `pulumi up`; "by the gate" is the same release handed over by the
code that `up` runs, without build and Pulumi. After each refusal the digest, the parameter, the containers with their
start times and the worker's deployments are those of before. The whole cloud, the build and the load share the machine,
so the seconds are upper limits.

Rows without a seed were measured by hand before `make soak` was run, which replaces those of the same name. "Host
alone" is the host's program with Docker, iptables and a registry for real in a network of its own, with stand-ins for
AWS, systemd and the product.

The bars: 1 a release under load, 2 a bad release, 3 a bad migration, 4 host or registry fails, 5 a killed run, 6 a
killed container, 8 rollback, 9 isolation, 10 certificates, 11 little CPU, 12 requests, 13 nothing changed.
"""
FOOT = """\
Requests that fail because the host itself, or the container that answers, was stopped on purpose do not count as
failed: bar 6, the reboots, and the CPU held to 0.2.

Not tried on this machine: a disk that is full as a whole (the rehearsed host's has no size of its own, so the folder
that Docker unpacks in is full instead), free memory (the kernel's figure is replaced: the host sees the whole
machine's), a wrong clock (containers share the kernel's; tests/infra/host has the sentence), and a real account.
"""


def seed() -> int:
    """Return the seed of random moments: SLIPWAY_SEED, or one that is printed."""
    return int(os.environ.get("SLIPWAY_SEED") or random.SystemRandom().randrange(10**6))


@dataclass
class Report:
    """The figures of a run."""

    seed: int = field(default_factory=seed)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, bar: int, fault: str, outcome: str, seconds: float | None = None, says: str = "") -> None:
        """Keep the outcome of one case."""
        row = {"bar": bar, "fault": fault, "outcome": outcome, "seconds": seconds and round(seconds, 1), "says": says}
        self.rows.append(row)

    def write(self) -> None:
        """Put the run's figures in the place of older ones, and render the page."""
        known = json.loads(DATA.read_text()) if DATA.exists() else []
        run = {
            "seed": self.seed,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "commit": subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip(),
            "processors": os.cpu_count(),
        }
        rows = {(row["bar"], row["fault"]): row for row in [*known, *({**row, **run} for row in self.rows)]}
        DATA.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(page(list(rows.values())))


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page, its rows in the order of their bars."""
    lines = [
        "| bar | fault | outcome | s | what it says | seed, date, commit |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row["bar"], row["fault"])):
        seconds = "" if row["seconds"] is None else str(row["seconds"])
        said = " ".join(str(row["says"]).split()).replace("|", "\\|")
        source = f"{'-' if row['seed'] is None else row['seed']}, {row['date']}, {row['commit']}"
        lines.append(f"| {row['bar']} | {row['fault']} | {row['outcome']} | {seconds} | {said} | {source} |")
    processors = sorted({row["processors"] for row in rows})
    machine = f"Machine: {' or '.join(map(str, processors))} processors.\n"
    return "\n".join([HEAD, machine, *lines, "", FOOT])


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(DATA.read_text())))
