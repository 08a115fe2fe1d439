"""What a person sees: one line a step, with the time it took. Everything goes to standard error or standard output
as the command asks; `make -s outputs` and `make -s env` keep standard output for their answer."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from infra.lib.errors import InputError
from infra.lib.messages import printable

HEARTBEAT_SECONDS = 15
"""A step that takes longer says so this often."""


class UserError(InputError):
    """A problem that the user can solve: the message says what is wrong, where, and what to do."""


class WrongCallError(UserError):
    """A wrong call: an argument such as STACK or IMAGE that names nothing. It ends as click's own usage errors do."""

    exit_code = 2


class MachineError(UserError):
    """A machine that is unfit for a run: it lacks space, permission, a free port, or a program that it cannot get."""

    exit_code = 3


def say(text: str = "") -> None:
    """Print a text to standard error, safe for a terminal: it may hold words of a host, of AWS or of a file."""
    print(printable(text), file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """Print what a command was asked for to standard output, safe for a terminal: a log may hold anything."""
    print(printable(text), flush=True)


def row(subject: str, text: str) -> None:
    """Print a line about one thing, aligned with its neighbours."""
    say(f"  {subject:<11} {text}")


def seconds(value: float) -> str:
    """A duration in the unit that a person would use."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{value:.1f} s" if value < 10 else f"{rest} s"


def line(part: str, text: str) -> str:
    """Return a line about a part, aligned with its neighbours."""
    return f"{part:<20} {text}"


def ending(output: str, lines: int = 4) -> str:
    """Return the last lines of a command's output, as one line."""
    return " / ".join([text.strip() for text in output.splitlines() if text.strip()][-lines:]) or "it said nothing"


@contextlib.contextmanager
def heartbeat(tell: Callable[[str], None]) -> Iterator[Callable[[], str]]:
    """Call `tell` with the elapsed time every HEARTBEAT_SECONDS. Yield a function that returns the elapsed time."""
    started = time.monotonic()
    done = threading.Event()

    def elapsed() -> str:
        return seconds(time.monotonic() - started)

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            tell(elapsed())

    watcher = threading.Thread(target=beat, daemon=True, name="heartbeat")
    watcher.start()
    try:
        yield elapsed
    finally:
        done.set()
        watcher.join()


@contextlib.contextmanager
def step(subject: str, doing: str) -> Iterator[None]:
    """Print what is being done while it takes long, and how long it took."""
    with heartbeat(lambda elapsed: row(subject, f"{doing} ... {elapsed}")) as elapsed:
        yield
    row(subject, f"{doing}: {elapsed()}")
