"""What the API stands on, in memory: fakes behind the same interfaces. `away` is what a method raises."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.api.pages import Page
from app.api.queue import State
from app.api.routes import create_app
from app.api.schemas import CategorisedTest, JobView, NewPanel, NewReport, Panel, PanelHead, Report, ReportHead, Trends
from app.api.store import KeyReused, Lost, Once, Send
from app.common.identity import Identity
from app.common.jobs import Job
from tests.app.swapped import Swapped

ADA = Identity(uuid4(), "ada@lab.example", "user")
BEN = Identity(uuid4(), "ben@lab.example", "user")
OPERATOR = Identity(uuid4(), "olga@lab.example", "operator")
TOKENS = {"ada": ADA, "ben": BEN, "olga": OPERATOR}


class Neighbor:
    """Something that may be away."""

    def __init__(self) -> None:
        self.away: Exception | None = None

    async def check(self) -> None:
        if self.away:
            raise self.away


class MemoryStore(Neighbor):
    """app.api.store.Store in dictionaries. Its clock goes on by a second with each thing that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.all_panels: dict[UUID, Panel] = {}
        self.all_reports: dict[UUID, Report] = {}
        self.all_jobs: dict[UUID, JobView] = {}
        self.keys: dict[tuple[UUID, str], tuple[bytes, UUID]] = {}
        self.reads = 0
        self.lost = Lost(unsent=0, failed=0)
        self.asked_for_lost: list[tuple[int, int | None]] = []
        self._now = datetime(2026, 11, 25, tzinfo=UTC)

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def _claim(self, owner: UUID, once: Once | None, made: UUID) -> UUID:
        if once is None:
            return made
        before, first = self.keys.setdefault((owner, once.key), (once.request, made))
        if before != once.request:
            raise KeyReused("This Idempotency-Key came before with another request.")
        return first

    async def add_panel(self, owner: UUID, panel: NewPanel, once: Once | None) -> UUID:
        await self.check()
        panel_id = uuid4()
        if (made := self._claim(owner, once, panel_id)) != panel_id:
            return made
        tests = [CategorisedTest(**test.model_dump(), category=None, confidence=None) for test in panel.tests]
        self.all_panels[panel_id] = Panel(
            id=panel_id,
            owner_id=owner,
            patient_reference=panel.patient_reference,
            status="queued",
            reason=None,
            created_at=self._tick(),
            finished_at=None,
            tests=tests,
        )
        self._add_job("categorise", owner, panel_id=panel_id)
        return panel_id

    async def add_report(self, owner: UUID, report: NewReport, once: Once | None) -> UUID:
        await self.check()
        report_id = uuid4()
        if (made := self._claim(owner, once, report_id)) != report_id:
            return made
        self.all_reports[report_id] = Report(
            id=report_id,
            owner_id=owner,
            **report.model_dump(),
            status="queued",
            reason=None,
            created_at=self._tick(),
            finished_at=None,
            entities=[],
        )
        self._add_job("extract", owner, report_id=report_id)
        return report_id

    def _add_job(self, kind: Any, owner: UUID, **about: UUID) -> None:
        job_id = uuid4()
        self.all_jobs[job_id] = JobView(
            id=job_id,
            kind=kind,
            owner_id=owner,
            **{"panel_id": None, "report_id": None, **about},
            status="queued",
            reason=None,
            deliveries=0,
            created_at=self._now,
            sent_at=None,
            finished_at=None,
        )

    def _listed(self, things: dict[UUID, Any], viewer: Identity, page: Page) -> list[Any]:
        after = page.after and (page.after.created_at, page.after.id)
        found = [thing for thing in things.values() if viewer.is_operator or thing.owner_id == viewer.user_id]
        found.sort(key=lambda thing: (thing.created_at, thing.id), reverse=True)
        return [thing for thing in found if after is None or (thing.created_at, thing.id) < after][: page.limit]

    async def panel(self, panel_id: UUID) -> Panel | None:
        await self.check()
        self.reads += 1
        return self.all_panels.get(panel_id)

    async def panels(self, viewer: Identity, page: Page) -> list[PanelHead]:
        await self.check()
        return [
            PanelHead(**panel.model_dump(), test_count=len(panel.tests), out_of_range=0, categories=[])
            for panel in self._listed(self.all_panels, viewer, page)
        ]

    async def report(self, report_id: UUID) -> Report | None:
        await self.check()
        return self.all_reports.get(report_id)

    async def reports(self, viewer: Identity, page: Page) -> list[ReportHead]:
        await self.check()
        return self._listed(self.all_reports, viewer, page)

    async def job(self, job_id: UUID) -> JobView | None:
        await self.check()
        return self.all_jobs.get(job_id)

    async def jobs(self, viewer: Identity, status: str | None, page: Page) -> list[JobView]:
        await self.check()
        jobs = {key: job for key, job in self.all_jobs.items() if status in (None, job.status)}
        return self._listed(jobs, viewer, page)

    async def trends(self, viewer: Identity, test_name: str | None, category: str | None) -> Trends:
        await self.check()
        return Trends(items=[], truncated=False)

    async def send_unsent(self, limit: int, send: Send) -> int:
        await self.check()
        waiting = [job for job in self.all_jobs.values() if job.sent_at is None][:limit]
        taken = await send([Job(job.kind, job.id) for job in waiting]) if waiting else set()
        for job_id in taken:
            self.all_jobs[job_id].sent_at = self._now
        return len(taken)

    async def recover_lost(self, sent_seconds_ago: int, most_deliveries: int | None) -> Lost:
        await self.check()
        self.asked_for_lost.append((sent_seconds_ago, most_deliveries))
        return self.lost

    async def sweep(self) -> int:
        return 0


class MemoryQueue(Neighbor):
    """app.api.queue.Queue in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.stands = State(idle=True, retention_seconds=4 * 24 * 3600, most_deliveries=5)

    async def state(self) -> State:
        await self.check()
        return self.stands

    async def send(self, jobs: Sequence[Job]) -> set[UUID]:
        await self.check()
        self.jobs += jobs
        return {job.job_id for job in jobs}


class MemoryCache(Neighbor):
    """app.common.cache.Cache in a dictionary, without an end to anything."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return None if self.away else self.values.get(key)

    async def put(self, key: str, value: bytes, seconds: int, *, replace: bool = True) -> None:
        if not self.away and (replace or key not in self.values):
            self.values[key] = value


class MemoryTokens(Neighbor):
    """Knows the tokens `ada`, `ben` and `olga`, who is an operator."""

    async def identify(self, token: str) -> Identity | None:
        await self.check()
        return TOKENS.get(token)


NEIGHBORS = Swapped(), Swapped(), Swapped(), Swapped()
APP = create_app(*NEIGHBORS)  # type: ignore[arg-type]


class Api:
    """The app, its neighbors as new, and a client that asks one thing at a time, as `ada` unless told otherwise."""

    def __init__(self) -> None:
        self.store, self.queue = MemoryStore(), MemoryQueue()
        self.tokens, self.cache = MemoryTokens(), MemoryCache()
        for neighbor, to in zip(NEIGHBORS, (self.store, self.queue, self.tokens, self.cache), strict=True):
            neighbor.to = to

    def ask(self, method: str, path: str, who: str | None = "ada", **options: Any) -> httpx.Response:
        return ask(APP, method, path, who, **options)


def ask(app: Any, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
    """What an app answers, in an event loop of its own."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, headers=headers, **options)

    return asyncio.run(asked())
