"""The routes. What they need comes in from outside, so that a test gives them what it likes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, HTTPException, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from app.api.queue import Queue
from app.api.schemas import Accepted, Check, NewPanel, Panel, Readiness
from app.api.store import Store
from app.common.jobs import Job

log = logging.getLogger(__name__)

CHECK_TIMEOUT_SECONDS = 6.0
RELAY_SECONDS = 5.0
RELAY_BATCH = 50
QUEUE_AWAY = (BotoCoreError, ClientError, OSError)
DATABASE_AWAY = (SQLAlchemyError, OSError)


def create_app(
    store: Store,
    queue: Queue,
    check_cache: Callable[[], Awaitable[None]],
    connections: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> FastAPI:
    """The API over a store, a queue and a cache. `connections` is open for as long as the app runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with connections():
            relaying = asyncio.create_task(relay_for_ever(store, queue))
            try:
                yield
            finally:
                relaying.cancel()
                await asyncio.gather(relaying, return_exceptions=True)

    app = FastAPI(title="Slipway lab results", version="1", lifespan=lifespan)

    @app.exception_handler(SQLAlchemyError)
    @app.exception_handler(OSError)
    async def database_away(request: Request, error: Exception) -> JSONResponse:
        log.error("the database failed", exc_info=error, extra={"path": request.url.path})
        detail = "The database cannot be reached at the moment; please try again."
        return JSONResponse({"detail": detail}, status.HTTP_503_SERVICE_UNAVAILABLE, {"Retry-After": "5"})

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which FastAPI's own handler repeats: it is a patient's, and infinity is no JSON.
        detail = [{key: found[key] for key in ("loc", "msg", "type")} for found in error.errors()]
        return JSONResponse({"detail": detail}, status.HTTP_422_UNPROCESSABLE_CONTENT)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive. Asks nothing of anything else."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"model": Readiness}})
    async def ready(response: Response) -> Readiness:
        """Whether the API can do its work: 503 where the database or the queue is away."""
        database, jobs, cache = await asyncio.gather(check(store.check()), check(queue.check()), check(check_cache()))
        readiness = Readiness(ready=database.ok and jobs.ok, database=database, queue=jobs, cache=cache)
        if not readiness.ready:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return readiness

    @app.post("/labs", status_code=status.HTTP_202_ACCEPTED)
    async def add_panel(panel: NewPanel, response: Response) -> Accepted:
        """Take a panel. It is safe from here on, whether or not the queue is there: the outbox sends it."""
        panel_id = await store.add(panel)
        try:
            await send(store, queue, panel_id)
        except (*QUEUE_AWAY, SQLAlchemyError) as error:
            log.warning("the panel waits in the outbox", extra={"lab_id": panel_id, "reason": brief(error)})
        response.headers["Location"] = f"/labs/{panel_id}"
        return Accepted(id=panel_id, status="queued")

    @app.get("/labs/{panel_id}", responses={404: {"description": "No such panel"}})
    async def get_panel(panel_id: UUID) -> Panel:
        """A panel with the category of each test, once the worker is done."""
        panel = await store.get(panel_id)
        if panel is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no panel {panel_id}.")
        return panel

    return app


async def send(store: Store, queue: Queue, panel_id: UUID) -> None:
    """Put the panel's job into the queue, then say so in the outbox. A crash between the two sends it twice,
    which the worker does not mind; it is never sent zero times."""
    await queue.send(Job(kind="categorise", lab_id=panel_id))
    await store.mark_sent(panel_id)


async def relay(store: Store, queue: Queue) -> int:
    """Send what the outbox holds, as far as the queue takes it; the number of panels sent."""
    panels = await store.unsent(RELAY_BATCH)
    for panel_id in panels:
        await send(store, queue, panel_id)
        log.info("sent from the outbox", extra={"lab_id": panel_id})
    return len(panels)


async def relay_for_ever(store: Store, queue: Queue) -> None:
    """The outbox's side of the promise that POST /labs gives: try every few seconds until cancelled."""
    while True:
        try:
            await relay(store, queue)
        except (*QUEUE_AWAY, *DATABASE_AWAY) as error:
            log.warning("the outbox waits", extra={"reason": brief(error)})
        await asyncio.sleep(RELAY_SECONDS)


async def check(answer: Awaitable[None]) -> Check:
    """The outcome of one check. Whatever goes wrong in it is a reason, not a failure of /ready."""
    try:
        await asyncio.wait_for(answer, CHECK_TIMEOUT_SECONDS)
    except TimeoutError:
        return Check(ok=False, reason=f"no answer within {CHECK_TIMEOUT_SECONDS:g} s")
    except Exception as error:  # noqa: BLE001 - a check reports whatever is wrong
        return Check(ok=False, reason=brief(error))
    return Check(ok=True)


def brief(error: Exception) -> str:
    """An error's kind and its first line, without the statement and address that drivers add."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0][:200]}"
