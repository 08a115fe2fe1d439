"""Sum up where a release's time on the host went, as one line of progress that `make up` reads again for its table."""

import re
from collections.abc import Collection, Mapping

PHASES = {
    "check": "prepare",
    "secrets": "prepare",
    "pull": "pull",
    "repair": "start",
    "verify": "verify",
    "steady": "verify",
    "certificate": "verify",
    "turn": "switch",
    "watch": "switch",
}
"""The host's steps by phase. Any other step starts one service and has its name."""
START = "start"
LINE = re.compile(r"took (?P<phases>.+ s): [\d.]+ s in all")


def phases(steps: Mapping[str, float], once: Collection[str]) -> dict[str, float]:
    """Return the seconds of each phase, in the order of the release; a service of `once` is a phase of its own."""
    ordered = dict.fromkeys(["prepare", "pull", *once, START, "verify", "switch"], 0.0)
    for step, seconds in steps.items():
        ordered[step if step in once else PHASES.get(step, START)] += seconds
    return {phase: seconds for phase, seconds in ordered.items() if seconds}


def line(seconds: Mapping[str, float]) -> str:
    """Return the phases as a line."""
    listed = ", ".join(f"{phase} {value:.1f} s" for phase, value in seconds.items())
    return f"took {listed}: {sum(seconds.values()):.1f} s in all"


def read(text: str) -> dict[str, float] | None:
    """Return the phases that a line tells; None if it is another line."""
    found = LINE.fullmatch(text)
    if found is None:
        return None
    pairs = (part.removesuffix(" s").rpartition(" ") for part in found["phases"].split(", "))
    return {phase: float(value) for phase, _, value in pairs}
