"""Redis as a cache that may be away: then everything takes longer and nothing fails."""

import logging
import time
from collections.abc import Callable

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.5
MAX_CONNECTIONS = 20
# While Redis is away, it is asked again this often, not by every request.
AWAY_SECONDS = 3.0


def connect(url: str) -> Redis:
    """A client that waits for half a second at most. It connects when it is first used."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # Once more, for a connection that a restart of Redis left behind.
        retry=Retry(NoBackoff(), 1),
    )
    return Redis(connection_pool=pool)


class Cache:
    """Values that can be had elsewhere too. No method but `check` raises anything because of Redis."""

    def __init__(self, client: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._away_until = 0.0

    async def get(self, key: str) -> bytes | None:
        """The value; None where there is none, or no Redis."""
        if self._away():
            return None
        try:
            value = await self._client.get(key)
        except (RedisError, OSError) as error:
            self._failed(error)
            return None
        return value.encode() if isinstance(value, str) else value

    async def put(self, key: str, value: bytes, seconds: int, *, replace: bool = True) -> None:
        """Keep a value for `seconds`; without `replace`, only where the key has none."""
        if self._away():
            return
        try:
            await self._client.set(key, value, ex=seconds, nx=not replace)
        except (RedisError, OSError) as error:
            self._failed(error)

    async def check(self) -> None:
        """Return if Redis answers; raise what is wrong otherwise."""
        await self._client.ping()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def _away(self) -> bool:
        return self._clock() < self._away_until

    def _failed(self, error: Exception) -> None:
        if not self._away():
            log.warning("the cache cannot be reached; going on without", extra={"reason": type(error).__name__})
        self._away_until = self._clock() + AWAY_SECONDS
