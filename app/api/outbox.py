"""The outbox: jobs are rows first, and messages as soon as the queue takes them: none is lost to a queue that is away.

A request stores a panel with its job in one transaction and wakes the outbox; it does not wait for the queue. The
outbox sends what is not sent yet, in batches, and looks for itself every POLL_SECONDS: for what the worker adds, and
for what was stored while the queue was away.

Nor is one lost with its message. A worker that is killed each time it takes a message says nothing, and the queue puts
the message aside; a worker that stays away for long outlasts the message. `recover` finds such jobs.
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
SETTLED_SECONDS = 600
"""A job sent this long ago, and not in the queue now, has lost its message."""
IDLE_LOOKS = 3
"""SQS counts its messages about: the queue is empty where so many looks in a row, a minute apart, found nothing."""


class Outbox:
    """Sends jobs. Two processes may do so at once: a row that one has in hand is skipped by the other."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._wake = asyncio.Event()
        self._idle_looks = 0

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def send(self) -> int:
        """Send one batch; the number of jobs that the queue took. A crash between the sending and its note sends a job
        twice, which the worker does not mind; none is sent zero times."""
        return await self._store.send_unsent(BATCH, self._queue.send)

    async def recover(self) -> None:
        """Send jobs anew whose message is gone, and give up those that were tried often enough.

        In a queue that is never empty, a message is known to be gone once the queue's retention has passed.
        """
        try:
            queue = await self._queue.state()
        except AWAY as error:
            log.warning("the queue cannot be asked", extra={"reason": database.brief(error)})
            return
        self._idle_looks = self._idle_looks + 1 if queue.idle else 0
        age = SETTLED_SECONDS if self._idle_looks >= IDLE_LOOKS else queue.retention_seconds
        lost = await self._store.recover_lost(age, queue.most_deliveries)
        if lost.unsent or lost.failed:
            log.warning("jobs had lost their message", extra={"sent_again": lost.unsent, "failed": lost.failed})
            self.wake()

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
