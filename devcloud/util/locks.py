"""Locks among processes, by files."""

import contextlib
import fcntl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from devcloud.util.console import UserError
from devcloud.util.waiting import wait_until

_OF_THREAD = threading.local()


def held() -> tuple[int, ...]:
    """Return the file descriptors of the locks that this thread holds.

    A child that inherits one holds the lock too. Those of other threads are left out: such a child may outlast their
    lock by minutes.
    """
    return tuple(getattr(_OF_THREAD, "descriptors", ()))


def try_lock(handle: IO[str]) -> bool:
    """Lock an open file. Return False if another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock. `waiting` is called now and again while another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        wait_until(lambda: try_lock(handle), pause=0.05, meanwhile=waiting)
        before = held()
        _OF_THREAD.descriptors = (*before, handle.fileno())
        try:
            yield
        finally:
            _OF_THREAD.descriptors = before


@contextlib.contextmanager
def only_one(file: Path, command: str) -> Iterator[None]:
    """Hold a lock as long as a command runs. Raise UserError if another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        if not try_lock(handle):
            raise UserError(f"`{command}` runs on this machine already: end that one by Ctrl-C first.")
        yield
