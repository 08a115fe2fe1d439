"""Rate limits, counted in Redis for all processes together; in this process alone while Redis is away."""

import hashlib
import ipaddress
import logging
import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.common import cache

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rates:
    """How often something may be tried, as `limits` writes it."""

    sign_up_by_address: str = "20 per minute"
    """A laboratory behind one address brings its people in within minutes; a script does not get far."""
    sign_in_by_address: str = "60 per minute"
    sign_in_by_account: str = "10 per 5 minutes"
    """Wrong passwords: a right one begins the count anew, so nobody is locked out by working."""
    chat_by_account: str = "60 per hour"
    """Each question is up to five calls of a language model, which somebody pays for."""


class TooMany(Exception):  # noqa: N818 - a refusal
    """Something was tried too often; it may be tried again after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many tries; please wait {seconds} s.")
        self.seconds = seconds


class RateLimits:
    """Counts tries. Nothing here raises because of Redis."""

    def __init__(self, redis_url: str, rates: Rates | None = None) -> None:
        self.rates = rates or Rates()
        self._client = cache.connect(redis_url)
        shared = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            connection_pool=self._client.connection_pool,  # type: ignore[arg-type]
        )
        self._shared, self._own = self._limiter(shared), self._limiter(MemoryStorage())
        self._away_until = 0.0

    @staticmethod
    def _limiter(storage: Storage) -> SlidingWindowCounterRateLimiter:
        return SlidingWindowCounterRateLimiter(storage)

    async def hit(self, rate: str, what: str, who: str) -> None:
        """Count one try of `what` by `who`; TooMany where it was one too many."""
        item, name = parse(rate), hidden(who)
        if time.monotonic() >= self._away_until:
            try:
                await self._count(self._shared, item, what, name)
            except (RedisError, OSError) as error:
                log.warning("rate limits are counted by this process alone", extra={"reason": type(error).__name__})
                self._away_until = time.monotonic() + cache.AWAY_SECONDS
            else:
                return
        await self._count(self._own, item, what, name)

    async def forget(self, rate: str, what: str, who: str) -> None:
        """Begin the count of `what` by `who` anew."""
        item, name = parse(rate), hidden(who)
        await self._own.clear(item, what, name)
        if time.monotonic() >= self._away_until:
            try:
                await self._shared.clear(item, what, name)
            except (RedisError, OSError):
                self._away_until = time.monotonic() + cache.AWAY_SECONDS

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _count(self, limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, what: str, name: str) -> None:
        if not await limiter.hit(item, what, name):
            reset = (await limiter.get_window_stats(item, what, name)).reset_time
            raise TooMany(max(1, math.ceil(reset - time.time())))


def hidden(who: str) -> str:
    """What Redis knows an address or an account by: it is nobody's list of who uses this."""
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def network(host: str | None) -> str:
    """Who counts as one address: for IPv6 its /64, which is what one household or server gets."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
