"""Signs of life.

A file that the worker touches, for HEALTHCHECK; a message's visibility, kept up while it is worked on; and the worker's
row in the database, for the dashboard.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

log = logging.getLogger(__name__)

# The one place that is writable in every container, read-only root or not.
HEARTBEAT = Path("/dev/shm/slipway-worker-heartbeat")  # noqa: S108
# Longer than a poll with its retries, a wait for the database, and a batch at half a core, all in one.
STALE_AFTER_SECONDS = 60
SIGN_SECONDS = 10.0


def beat(path: Path = HEARTBEAT) -> None:
    """The worker is alive now."""
    path.touch()


def alive(path: Path = HEARTBEAT) -> bool:
    """Whether there was a beat within STALE_AFTER_SECONDS."""
    try:
        return time.time() - path.stat().st_mtime < STALE_AFTER_SECONDS
    except FileNotFoundError:
        return False


@contextmanager
def every(seconds: float, times: int | None, action: Callable[[], object], *, at_once: bool = False) -> Iterator[None]:
    """Do `action` every `seconds` on a thread of its own while the block runs, `times` at most (None: as often as it
    comes to); with `at_once` also at the beginning.

    An error in it is logged: the work goes on, and the queue delivers the message again if it must.
    """
    done = threading.Event()

    def repeat() -> None:
        rounds: Iterable[int] = count() if times is None else range(times)
        for number in rounds:
            if done.wait(0 if at_once and number == 0 else seconds):
                return
            try:
                action()
            except Exception:
                log.exception("the heartbeat failed")

    thread = threading.Thread(target=repeat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
