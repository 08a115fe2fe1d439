"""Wait for a condition, with a limit and a word to the person who waits too."""

import math
import time
from collections.abc import Callable

from devcloud.util import console


def wait_until(
    condition: Callable[[], object],
    limit: float = math.inf,
    *,
    pause: float = 0.1,
    meanwhile: Callable[[], None] = lambda: None,
) -> bool:
    """Call `condition` until it returns something true, for at most `limit` seconds. Return whether it did.

    `meanwhile` is called while it waits: at once, then every HEARTBEAT_SECONDS.
    """
    started = next_word = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now >= started + limit:
            return False
        if now >= next_word:
            meanwhile()
            next_word = now + console.HEARTBEAT_SECONDS
        time.sleep(pause)
    return True
