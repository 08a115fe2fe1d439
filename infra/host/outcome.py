"""A release's outcome: why it failed, or how long its steps took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOG_BYTES, CAUSE_BYTES = 2000, 800
"""Sizes in JSON: an answer with a verdict and lines of progress stays below 6 KB."""


def clip(text: str, size: int) -> str:
    """Return the start of a text that has at most `size` bytes in JSON."""
    text = text[:size]
    while len(json.dumps(text)) - 2 > size:
        text = text[: max(len(text) * 9 // 10, 1)]
    return text


class HostError(Exception):
    """A release or a command cannot go on; the message is one sentence that says what, where and what to do."""

    def __init__(
        self,
        cause: str,
        *,
        service: str | None = None,
        exit_code: int | None = None,
        out_of_memory: bool = False,
        log: str = "",
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.service = service
        self.exit_code = exit_code
        self.out_of_memory = out_of_memory
        self.log = log


@dataclass(frozen=True)
class Verdict:
    """The outcome of a release, as `follow` reports it."""

    step: str
    """The step that failed, or the last one."""
    cause: str
    """One sentence; empty if the release serves."""
    service: str | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    log: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, failure: HostError, step: str, seconds: Mapping[str, float]) -> Verdict:
        """Return the verdict about a release that failed in a step."""
        return cls(
            step=step,
            cause=clip(failure.cause, CAUSE_BYTES),
            service=failure.service,
            exit_code=failure.exit_code,
            out_of_memory=failure.out_of_memory,
            log=clip(failure.log[::-1], LOG_BYTES)[::-1],
            seconds=seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the verdict in the words of the contract with the gate."""
        return {
            "step": self.step,
            "cause": self.cause,
            "service": self.service,
            "exitCode": self.exit_code,
            "outOfMemory": self.out_of_memory,
            "log": self.log,
            "seconds": {step: round(value, 1) for step, value in self.seconds.items()},
        }
