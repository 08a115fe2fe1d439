"""The worker's loop: take a message, do its job, delete it; leave it to the queue where that fails."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.exc import SQLAlchemyError

from app.common.jobs import Job
from app.common.names import normalise
from app.common.tables import AGGREGATE, CATEGORISE, EXTRACT
from app.worker.categoriser import Category
from app.worker.encoder import BATCH
from app.worker.extractor import Categorises, Entity
from app.worker.heartbeat import every
from app.worker.queue import Message, Queue
from app.worker.store import Store, Work

log = logging.getLogger(__name__)

# While a job runs, its message is hidden for VISIBILITY_SECONDS, renewed every VISIBILITY_SECONDS / 3.
VISIBILITY_SECONDS = 60
# Five minutes; a panel takes seconds, the longest report one minute. A job that hangs loses its message and then fails
# the health check.
RENEWALS = 15
# A failed job comes back after this, times its deliveries so far.
RETRY_SECONDS = 5
AWAY_SECONDS = 3.0


class Stopped(Exception):  # noqa: N818 - not an error
    """The worker is to stop; the job goes back to the queue as it was."""


class Extracts(Protocol):
    """What finds the tests that a report speaks of."""

    def extract(self, body: str, between_batches: Callable[[], None]) -> list[Entity]:
        """The entities of a report. `between_batches` is called often, and may raise to stop."""


class Worker:
    """Jobs from one queue into one store. `stop` may be set from a signal handler at any time."""

    def __init__(
        self,
        queue: Queue,
        store: Store,
        categoriser: Categorises,
        extractor: Extracts,
        stop: threading.Event,
        beat: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._store = store
        self._categoriser = categoriser
        self._extractor = extractor
        self._stop = stop
        self._beat = beat
        self._most_deliveries: int | None = None
        self._knows_queue = False
        self._kinds: dict[str, Callable[[Job, Work], None]] = {
            CATEGORISE: self._categorise,
            EXTRACT: self._extract,
            AGGREGATE: self._aggregate,
        }
        self.jobs_done = 0

    def run(self) -> None:
        """Work until stopped."""
        while not self._stop.is_set():
            self._beat()
            try:
                self.step()
            except (BotoCoreError, ClientError) as error:
                log.warning("the queue cannot be reached", extra={"reason": str(error)})
                self._stop.wait(AWAY_SECONDS)

    def step(self) -> None:
        """Take and work off one message at most.

        Each delivery counts towards the dead-letter queue, so nothing is taken while the database is away.
        """
        if not self._store.reachable():
            log.warning("the database cannot be reached")
            self._stop.wait(AWAY_SECONDS)
            return
        if not self._knows_queue:
            self._most_deliveries = self._queue.most_deliveries()
            self._knows_queue = True
        message = self._queue.receive()
        if message is not None:
            self.handle(message)

    def handle(self, message: Message) -> None:
        """Do a message's job. Whatever fails stays in the queue, whose redrive policy has the last word."""
        job: Job | None = None
        try:
            job = Job.from_json(message.body)
            with every(VISIBILITY_SECONDS / 3, RENEWALS, lambda: self._keep(message)):
                self._do(job)
        except Stopped:
            self._queue.hide(message, 0)
            log.info("gave the job back", extra=_about(job, message))
        except Exception as error:
            log.exception("the job failed", extra=_about(job, message))
            if job is not None and self._last(message):
                self._give_up(job, error)
            self._queue.hide(message, RETRY_SECONDS * message.deliveries)
        else:
            self._queue.delete(message)
            self.jobs_done += 1
            log.info("the job is done", extra=_about(job, message))

    def _keep(self, message: Message) -> None:
        self._beat()
        self._queue.hide(message, VISIBILITY_SECONDS)

    def _last(self, message: Message) -> bool:
        return self._most_deliveries is not None and message.deliveries >= self._most_deliveries

    def _give_up(self, job: Job, error: Exception) -> None:
        try:
            self._store.fail(job, f"{type(error).__name__} after the last try")
        except SQLAlchemyError:
            log.exception("the failure could not be written", extra={"job_id": job.job_id})

    def _do(self, job: Job) -> None:
        work = self._store.begin(job)
        if not work.done:
            self._kinds[job.kind](job, work)

    def _categorise(self, job: Job, work: Work) -> None:
        categories: dict[int, Category] = {}
        positions = list(work.names)
        for start in range(0, len(positions), BATCH):
            self._stop_here()
            batch = positions[start : start + BATCH]
            found = self._categoriser.categorise([work.names[position] for position in batch])
            categories.update(zip(batch, found, strict=True))
        self._store.categorised(job, categories)

    def _extract(self, job: Job, work: Work) -> None:
        self._store.extracted(job, self._extractor.extract(work.body, self._stop_here))

    def _aggregate(self, job: Job, work: Work) -> None:
        self._store.aggregate(job, normalise)

    def _stop_here(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _about(job: Job | None, message: Message) -> dict[str, object]:
    """What a log line says of a job: nothing of what it is about."""
    return {"job_id": job and job.job_id, "kind": job and job.kind, "deliveries": message.deliveries}
