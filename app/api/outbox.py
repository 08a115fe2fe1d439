"""The outbox: jobs are rows first, and messages as soon as the queue takes them: none is lost to a queue that is away.

A request stores a panel with its job in one transaction and wakes the outbox; it does not wait for the queue. The
outbox sends what is not sent yet, in batches, and looks for itself every POLL_SECONDS: for what the worker adds, and
for what was stored while the queue was away.
"""

import asyncio
import contextlib
import logging

from app.api.queue import AWAY, BATCH, Queue
from app.api.store import Store
from app.common import database, web

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
RETRY_SECONDS = 5.0


class Outbox:
    """Sends jobs. Two processes may do so at once: a row that one has in hand is skipped by the other."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def send(self) -> int:
        """Send one batch; the number of jobs that the queue took. A crash between the sending and its note sends a job
        twice, which the worker does not mind; none is sent zero times."""
        return await self._store.send_unsent(BATCH, self._queue.send)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._wake.clear()
            try:
                while await self.send() == BATCH:
                    pass
            except (*AWAY, *database.FAILURES) as error:
                log.warning("the outbox waits", extra={"reason": database.brief(error)})
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - the outbox outlives whatever is wrong with one batch
                log.error("the outbox failed", extra=web.trace(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
