"""The routes that the host asks."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from app.common import probes
from tests.app.api.fakes import ask

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.include_router(probes.health("/health", "/board/health"))
    return app


@pytest.mark.parametrize("path", ["/health", "/board/health"])
def test_health_names_the_digest_of_the_image(app: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_DIGEST", DIGEST)
    answer = ask(app, "GET", path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-image-digest"] == DIGEST


@pytest.mark.parametrize("value", [None, "", " "])
def test_health_names_no_digest_if_the_host_gave_none(
    app: Any, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_DIGEST", raising=False)
    if value is not None:
        monkeypatch.setenv("IMAGE_DIGEST", value)
    assert "x-image-digest" not in ask(app, "GET", "/health").headers


def test_what_was_found_is_kept_for_a_moment_and_looked_for_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "KEPT_SECONDS", 0.2)
    looks: list[int] = []

    async def look() -> int:
        looks.append(len(looks))
        await asyncio.sleep(0.01)
        return len(looks)

    async def run() -> None:
        kept = probes.Kept(look)
        assert await asyncio.gather(*(kept.get() for _ in range(100))) == [1] * 100
        await asyncio.sleep(0.25)
        assert await kept.get() == 2

    asyncio.run(run())
    assert len(looks) == 2
