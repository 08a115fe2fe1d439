"""The routes that the host asks."""

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
