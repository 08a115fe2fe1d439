"""What a person sees: one line a step, with the time it took. Everything goes to standard error or standard output
as the command asks; `make -s outputs` and `make -s env` keep standard output for their answer."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

HEARTBEAT_SECONDS = 15
"""A step that takes longer says so this often."""


class Refusal(Exception):  # noqa: N818  it refuses what was asked; nothing has gone wrong
    """A problem that a person can mend: the message is what is wrong, where, and what to do."""


def say(text: str = "") -> None:
    """Print a line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def row(subject: str, text: str) -> None:
    """Print a line about one thing, aligned with its neighbours."""
    say(f"  {subject:<11} {text}")


def seconds(value: float) -> str:
    """A duration in the unit that a person would use."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{value:.1f} s" if value < 10 else f"{rest} s"


@contextlib.contextmanager
def step(subject: str, doing: str) -> Iterator[None]:
    """Say what is being done while it takes long, and how long it took once it is done."""
    started = time.monotonic()
    done = threading.Event()

    def heartbeat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            row(subject, f"{doing} ... {seconds(time.monotonic() - started)}")

    watcher = threading.Thread(target=heartbeat, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    row(subject, f"{doing}: {seconds(time.monotonic() - started)}")
