"""The routes. What they need comes in from outside, so that a test gives them what it likes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from app.api.outbox import Outbox
from app.api.pages import CursorError, Page, Place
from app.api.queue import Queue
from app.api.schemas import (
    MAX_CATEGORY,
    MAX_CURSOR,
    MAX_KEY,
    MAX_NAME,
    MAX_PAGE,
    PAGE,
    PRINTABLE,
    Accepted,
    Jobs,
    JobView,
    NewPanel,
    NewReport,
    Panel,
    Panels,
    Readiness,
    Report,
    Reports,
    Status,
    Trends,
)
from app.api.store import KeyReused, Once, Store, fingerprint, place
from app.common import probes, web
from app.common.cache import Cache
from app.common.identity import Identifies, Identity
from app.common.tables import DONE

SWEEP_SECONDS = 3600.0
RECOVER_SECONDS = 60.0
# A panel that is done changes no more, but that is the worker's to promise: a minute of its mistakes is enough.
PANEL_CACHED_SECONDS = 60
# To be raised with a change of Panel: the releases before and after it share the cache.
PANEL_VERSION = 1

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY,
        pattern=r"^[\x21-\x7e]+$",
        description="A name of the caller's own for this request, such as a UUID. The same request under the same name "
        "within a day is done once and answered alike; another request under it is refused.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=MAX_CURSOR, description="`next_cursor` of the page before."),
]


def create_app(
    store: Store,
    queue: Queue,
    identifies: Identifies,
    cache: Cache,
    connections: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    routers: Sequence[APIRouter] = (),
    timeouts: Mapping[str, float] | None = None,
) -> FastAPI:
    """The API over a store, a queue, whoever knows tokens, and a cache. `connections` is open for as long as it runs.

    `routers` are mounted beside its own routes; `timeouts` gives paths that begin with a key other seconds than
    app.common.web.TIMEOUT_SECONDS.
    """
    outbox = Outbox(store, queue)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = web.for_ever(store.sweep, SWEEP_SECONDS)
        recovering = web.for_ever(outbox.recover, RECOVER_SECONDS)
        async with connections(), web.background(outbox.run(), sweeping, recovering):
            yield

    app = web.application("Slipway lab results", DESCRIPTION, lifespan, timeouts)
    app.include_router(probes.health("/health"))
    app.include_router(readiness(store, queue, cache))
    app.include_router(results(store, outbox, cache, identifies))
    for router in routers:
        app.include_router(router)

    @app.exception_handler(KeyReused)
    @app.exception_handler(CursorError)
    async def unusable(_: Request, error: Exception) -> JSONResponse:
        return web.refused(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error))

    return app


DESCRIPTION = """\
Lab panels and reports go in; categories, findings and trends come out. All of it needs a token of the accounts service,
as `Authorization: Bearer <token>`, and shows what is the account's own; an operator sees everything."""


def readiness(store: Store, queue: Queue, cache: Cache) -> APIRouter:
    """Whether the API can do its work. Nobody need sign in to ask."""
    router = APIRouter()

    async def look() -> Readiness:
        database, jobs, kept = await asyncio.gather(
            web.check(store.check()), web.check(queue.check()), web.check(cache.check())
        )
        # Panels are taken without the queue: were it required, it would stop the release that mends it.
        return Readiness(ready=database.ok, database=database, queue=jobs, cache=kept)

    outcome = probes.Kept(look)

    @router.get("/ready", responses={503: {"model": Readiness, "description": "The database is away"}})
    async def ready(response: Response) -> Readiness:
        """Whether the API can do its work: 503 where the database is away. For the host, not for the public."""
        readiness = await outcome.get()
        if not readiness.ready:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return readiness

    return router


def results(store: Store, outbox: Outbox, cache: Cache, identifies: Identifies) -> APIRouter:
    """Panels, reports, jobs and trends, for whoever is signed in."""
    router = APIRouter(responses=web.refusals(401))
    Who = Annotated[Identity, Depends(web.current(identifies))]  # noqa: N806 - a type

    def visible(owner: UUID | None, viewer: Identity) -> bool:
        return viewer.is_operator or owner == viewer.user_id

    async def find_panel(panel_id: UUID) -> Panel | None:
        """From the cache, once the worker is done with it."""
        key = f"panel:{PANEL_VERSION}:{panel_id}"
        kept = await cache.get(key)
        if kept is not None:
            with contextlib.suppress(ValidationError):
                return Panel.model_validate_json(kept)
        panel = await store.panel(panel_id)
        if panel is not None and panel.status == DONE:
            await cache.put(key, panel.model_dump_json().encode(), PANEL_CACHED_SECONDS)
        return panel

    @router.post("/labs", status_code=status.HTTP_202_ACCEPTED, responses=web.refusals(400, 422))
    async def add_panel(panel: NewPanel, request: Request, response: Response, who: Who, key: Key = None) -> Accepted:
        """Take a panel. It is safe from here on, whether or not the queue is there: the outbox sends it."""
        panel_id = await store.add_panel(who.user_id, panel, await once(request, "/labs", key))
        return accepted(panel_id, response, "labs")

    @router.get("/labs", responses=web.refusals(422))
    async def list_panels(who: Who, limit: Limit = PAGE, cursor: Cursor = None) -> Panels:
        """Panels, the newest first."""
        panels = await store.panels(who, page(limit, cursor))
        return Panels(items=panels[:limit], next_cursor=place(panels[limit - 1]).cursor() if panels[limit:] else None)

    @router.get("/labs/{panel_id}", responses=web.refusals(404, 422))
    async def get_panel(panel_id: UUID, who: Who) -> Panel:
        """A panel with the category of each test, once the worker is done."""
        panel = await find_panel(panel_id)
        if panel is None or not visible(panel.owner_id, who):
            raise missing("panel", panel_id)
        return panel

    @router.post("/reports", status_code=status.HTTP_202_ACCEPTED, responses=web.refusals(400, 422))
    async def add_report(
        report: NewReport, request: Request, response: Response, who: Who, key: Key = None
    ) -> Accepted:
        """Take a report, as POST /labs takes a panel."""
        report_id = await store.add_report(who.user_id, report, await once(request, "/reports", key))
        return accepted(report_id, response, "reports")

    @router.get("/reports", responses=web.refusals(422))
    async def list_reports(who: Who, limit: Limit = PAGE, cursor: Cursor = None) -> Reports:
        """Reports without their text, the newest first."""
        found = await store.reports(who, page(limit, cursor))
        return Reports(items=found[:limit], next_cursor=place(found[limit - 1]).cursor() if found[limit:] else None)

    @router.get("/reports/{report_id}", responses=web.refusals(404, 422))
    async def get_report(report_id: UUID, who: Who) -> Report:
        """A report with what was found in it, once the worker is done."""
        report = await store.report(report_id)
        if report is None or not visible(report.owner_id, who):
            raise missing("report", report_id)
        return report

    @router.get("/jobs", responses=web.refusals(422))
    async def list_jobs(
        who: Who,
        state: Annotated[Status | None, Query(alias="status")] = None,
        limit: Limit = PAGE,
        cursor: Cursor = None,
    ) -> Jobs:
        """Jobs, the newest first."""
        jobs = await store.jobs(who, state, page(limit, cursor))
        return Jobs(items=jobs[:limit], next_cursor=place(jobs[limit - 1]).cursor() if jobs[limit:] else None)

    @router.get("/jobs/{job_id}", responses=web.refusals(404, 422))
    async def get_job(job_id: UUID, who: Who) -> JobView:
        """A job."""
        job = await store.job(job_id)
        if job is None or not visible(job.owner_id, who):
            raise missing("job", job_id)
        return job

    @router.get("/trends", responses=web.refusals(422))
    async def get_trends(
        who: Who,
        test_name: Annotated[str | None, Query(max_length=MAX_NAME, pattern=PRINTABLE)] = None,
        category: Annotated[str | None, Query(max_length=MAX_CATEGORY, pattern=PRINTABLE)] = None,
    ) -> Trends:
        """Each test by month, as the worker last added it up. `test_name` may be spelled as in any of its panels."""
        return await store.trends(who, test_name, category)

    def accepted(made_id: UUID, response: Response, where: str) -> Accepted:
        outbox.wake()
        # Relative to the request's own address: the edge serves this under /api.
        response.headers["Location"] = f"{where}/{made_id}"
        return Accepted(id=made_id, status="queued")

    return router


async def once(request: Request, route: str, key: str | None) -> Once | None:
    """The caller's key with the request that it stands for; None where there is no key."""
    return Once(key, fingerprint(route, await request.body())) if key is not None else None


def page(limit: int, cursor: str | None) -> Page:
    """What to ask the store for: one more than is shown, which tells whether there is a next page. CursorError."""
    return Page(limit + 1, Place.read(cursor) if cursor is not None else None)


def missing(what: str, identifier: UUID) -> HTTPException:
    """404, the same for what is another's and for what is not there."""
    return HTTPException(status.HTTP_404_NOT_FOUND, f"There is no {what} {identifier}.")
