"""Redis as a cache that may be away."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import RedisError

from app.common import cache
from app.common.cache import Cache
from tests.app import servers


def with_cache(url: str, work: Callable[[Cache], Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
    async def run() -> None:
        kept = Cache(cache.connect(url), clock)
        try:
            await work(kept)
        finally:
            await kept.close()

    asyncio.run(run())


def test_a_redis_that_is_away_costs_no_request_more_than_a_moment() -> None:
    async def work(kept: Cache) -> None:
        started = time.monotonic()
        for _ in range(1000):
            await kept.put("key", b"value", 10)
            assert await kept.get("key") is None
        assert time.monotonic() - started < 20
        with pytest.raises(RedisError):
            await kept.check()

    with_cache(f"redis://127.0.0.1:{servers.free_port()}/0", work)


@pytest.mark.services
def test_a_value_is_kept_for_its_time_and_not_replaced_unasked(redis: servers.Redis) -> None:
    async def work(kept: Cache) -> None:
        await kept.put("cache-test", b"\xff1", 3)
        assert await kept.get("cache-test") == b"\xff1"
        await kept.put("cache-test", b"2", 3, replace=False)
        assert await kept.get("cache-test") == b"\xff1"
        await kept.put("cache-test", b"3", 3)
        assert await kept.get("cache-test") == b"3"
        await asyncio.sleep(3.1)
        assert await kept.get("cache-test") is None
        await kept.check()

    with_cache(redis.url, work)


@pytest.mark.services
def test_a_redis_that_comes_back_is_used_again(redis: servers.Redis) -> None:
    now = 0.0

    async def work(kept: Cache) -> None:
        nonlocal now
        await kept.put("cache-back", b"1", 60)
        redis.stop()
        assert await kept.get("cache-back") is None
        redis.start()
        await kept.put("cache-back", b"2", 60)
        assert await kept.get("cache-back") is None  # not asked again yet
        now += cache.AWAY_SECONDS
        await kept.put("cache-back", b"3", 60)
        assert await kept.get("cache-back") == b"3"

    with_cache(redis.url, work, lambda: now)
