"""The journal of a release: what has begun, so that a killed program can be continued or undone.

One line of JSON an entry, on disk before the step that it announces begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "begin",  # accepted: the release, the program that carries it out
    "plan",  # the containers that will serve; from here on there may be new ones
    "step",  # a step of the release begins
    "line",  # progress, for people
    "undo",  # the release failed before the turn: what it started is being removed
    "turn",  # traffic is about to be turned: from here on the release is finished, not undone
    "back",  # the new containers failed in service: traffic returns to the old ones
    "commit",  # the release serves; the old containers may go
    "verdict",  # the outcome
    "end",  # nothing is left to do
]


@dataclass
class Journal:
    """The entries of one release."""

    path: Path
    now: Callable[[], float] = time.time
    entries: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, now: Callable[[], float] = time.time) -> Journal:
        """Return the journal in a file. A line that was cut by a power failure is left out."""
        entries = []
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entries.append(json.loads(line))
        return cls(path, now, entries)

    def add(self, kind: Kind, **more: Any) -> None:
        """Write an entry to the disk."""
        entry = {"kind": kind, "at": round(self.now(), 2), **more}
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)

    def last(self, kind: Kind) -> dict[str, Any] | None:
        """Return the last entry of a kind."""
        return next((entry for entry in reversed(self.entries) if entry["kind"] == kind), None)

    def has(self, kind: Kind) -> bool:
        """Return True if something of this kind has begun."""
        return self.last(kind) is not None

    @property
    def lines(self) -> list[str]:
        """Progress, for people."""
        return [entry["text"] for entry in self.entries if entry["kind"] == "line"]

    @property
    def step(self) -> str:
        """The step that began last."""
        entry = self.last("step")
        return entry["step"] if entry else "begin"

    def seconds(self) -> dict[str, float]:
        """Return how long each step took, up to the verdict if there is one."""
        verdict = self.last("verdict")
        end = verdict["at"] if verdict else self.now()
        begins = [entry for entry in self.entries if entry["kind"] == "step" and entry["at"] <= end]
        taken: dict[str, float] = {}
        for entry, following in zip(begins, [*begins[1:], {"at": end}]):
            taken[entry["step"]] = taken.get(entry["step"], 0.0) + following["at"] - entry["at"]
        return taken
