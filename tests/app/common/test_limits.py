"""Rate limits."""

import asyncio
import contextlib

import pytest

from app.common import limits
from app.common.limits import RateLimits, TooMany, network
from tests.app import servers

# An hour: a minute would turn within a test now and then.
THREE = "3 per hour"


async def tries(kit: RateLimits, count: int, who: str) -> int:
    """How many of `count` tries were let through."""
    taken = 0
    for _ in range(count):
        with contextlib.suppress(TooMany):
            await kit.hit(THREE, "test", who)
            taken += 1
    return taken


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("testclient", "testclient"),
        (None, "unknown"),
    ],
)
def test_a_household_counts_as_one(host: str | None, counted: str) -> None:
    assert network(host) == counted


def test_without_redis_each_process_counts_for_itself() -> None:
    async def run() -> None:
        kit = RateLimits(f"redis://127.0.0.1:{servers.free_port()}/0")
        assert await tries(kit, 5, "ada") == 3
        assert await tries(kit, 5, "ben") == 3
        await kit.forget(THREE, "test", "ada")
        assert await tries(kit, 5, "ada") == 3
        await kit.close()

    asyncio.run(run())


def test_a_refusal_says_how_long_to_wait_and_not_who() -> None:
    async def run() -> None:
        kit = RateLimits(f"redis://127.0.0.1:{servers.free_port()}/0")
        await tries(kit, 3, "ada")
        with pytest.raises(TooMany) as refused:
            await kit.hit(THREE, "test", "ada")
        assert 1 <= refused.value.seconds <= 3600
        assert "ada" not in str(refused.value)
        await kit.close()

    asyncio.run(run())


@pytest.mark.services
def test_with_redis_all_processes_count_together(redis: servers.Redis) -> None:
    async def run() -> None:
        one, other = RateLimits(redis.url), RateLimits(redis.url)
        assert await tries(one, 2, "carol") + await tries(other, 5, "carol") == 3
        await other.forget(THREE, "test", "carol")
        assert await tries(one, 5, "carol") == 3
        keys = await one._client.keys("*")
        assert keys
        assert not any(b"carol" in key for key in keys)
        await one.close()
        await other.close()

    asyncio.run(run())


@pytest.mark.services
def test_many_at_once_are_not_more_than_the_limit(redis: servers.Redis) -> None:
    async def run() -> None:
        kit = RateLimits(redis.url)
        assert sum(await asyncio.gather(*(tries(kit, 1, "dave") for _ in range(15)))) == 3
        await kit.close()

    asyncio.run(run())


@pytest.mark.services
def test_limits_hold_while_redis_is_away_and_after(redis: servers.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.cache, "AWAY_SECONDS", 0.0)

    async def run() -> None:
        kit = RateLimits(redis.url)
        assert await tries(kit, 2, "erin") == 2
        redis.stop()
        assert await tries(kit, 5, "erin") == 3
        redis.start()
        assert await tries(kit, 5, "erin") == 3
        await kit.close()

    asyncio.run(run())
