"""Fakes of the database, the cloud and the auth code, for the dashboard's tests."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.common.identity import Identity
from app.common.limits import TooMany
from app.common.sessions import NewSession
from app.dashboard.cloud import Depth, Queue, Release, Releases, read_releases
from app.dashboard.records import (
    CategoryMonth,
    CategoryTotal,
    Failure,
    Hour,
    JobCounts,
    Jobs,
    Records,
    TrendLine,
    Worker,
)

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
DIGEST = "sha256:" + "0123456789abcdef" * 4
OPERATOR = Identity(UUID(int=3), "operator@lab.example", "operator")
USER = Identity(UUID(int=1), "ada@lab.example", "user")
PASSWORD = "correct horse battery staple"


class MemoryRecords(Records):
    """Records as given; `away` is what all methods raise, `slow` what the trends do."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.slow: Exception | None = None
        self.found_workers = [
            Worker("worker-1", "biobert", 1284, NOW, 4.0),
            Worker("worker-2", "biobert", 3, NOW, 70.0),
            Worker("worker-3", "biobert", 3, NOW, 7200.0),
        ]
        self.reason = "gave up after 5 deliveries <script>alert(1)</script>"

    async def check(self) -> None:
        if self.away:
            raise self.away

    async def jobs(self) -> Jobs:
        await self.check()
        return Jobs((JobCounts("categorise", 7, 12_345, 2),), unsent=1, oldest_waits_seconds=90.0)

    async def hours(self) -> Sequence[Hour]:
        await self.check()
        return [Hour(NOW.replace(minute=0) - timedelta(hours=hour), hour, hour % 2) for hour in range(23, -1, -1)]

    async def failures(self) -> Sequence[Failure]:
        await self.check()
        return [Failure(UUID(int=9), "categorise", self.reason, 5, NOW)]

    async def workers(self) -> Sequence[Worker]:
        await self.check()
        return self.found_workers

    async def categories(self) -> Sequence[CategoryTotal]:
        await self.check()
        return [CategoryTotal("bone_and_minerals", 40), CategoryTotal("<b>lipids</b>", 20), CategoryTotal(None, 3)]

    async def months(self) -> Sequence[CategoryMonth]:
        if self.slow:
            raise self.slow
        return [CategoryMonth(datetime(2026, month, 1, tzinfo=UTC), "lipids", 10 * month) for month in (1, 2, 3)]

    async def tests(self) -> Sequence[TrendLine]:
        if self.slow:
            raise self.slow
        months = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
        return [TrendLine("hba1c", "%", 60, tuple(zip(months, (6.1, 5.9, 5.72), strict=True)))]


class MemoryQueue(Queue):
    """A queue as given, or away."""

    def __init__(self) -> None:
        self.found: Depth | Exception = Depth(visible=5, in_flight=2, delayed=0, dead=1)

    async def depth(self) -> Depth:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def verified(release: str, **digests: str) -> str:
    """Return the document of a verified release."""
    images = {name: {"digest": digest, "contentTag": "0" * 20} for name, digest in digests.items()}
    return json.dumps({"schema": 2, "release": release, "images": images})


class MemoryReleases(Releases):
    """Releases as given, none, or away."""

    def __init__(self) -> None:
        history = [
            (verified("first0000000", api="sha256:old", web="sha256:web"), NOW - timedelta(days=9)),
            (verified("second000000", api=DIGEST, web="sha256:web"), NOW),
        ]
        self.found: Sequence[Release] | Exception | None = read_releases(history)

    async def last(self) -> Sequence[Release] | None:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class MemorySessions:
    """Accounts with one password, and sessions: app.auth.sign_in and app.common.sessions, for the routes."""

    def __init__(self) -> None:
        self.open: dict[str, Identity] = {}
        self.revoked: list[str] = []
        self.hosts: list[str | None] = []
        self.away: Exception | None = None
        self.too_many = False

    async def sign_in(self, email: str, password: str, host: str | None) -> tuple[Identity, NewSession] | None:
        self.hosts.append(host)
        if self.away:
            raise self.away
        if self.too_many:
            raise TooMany(17)
        identity = {person.email: person for person in (OPERATOR, USER)}.get(email.lower())
        if identity is None or password != PASSWORD:
            return None
        token = f"{len(self.open)}".rjust(43, "t")
        self.open[token] = identity
        return identity, NewSession(token, datetime.now(UTC) + timedelta(hours=12))

    async def identify(self, token: str) -> Identity | None:
        if self.away:
            raise self.away
        return self.open.get(token)

    async def revoke(self, token: str) -> None:
        self.open.pop(token, None)
        self.revoked.append(token)
