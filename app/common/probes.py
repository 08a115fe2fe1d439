"""Answer the host's questions: is a service alive, which image answers, and can it work."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from fastapi import APIRouter, Response

KEPT_SECONDS = 2.0
"""How long an answer of /ready holds."""
IMAGE_DIGEST = "IMAGE_DIGEST"
"""Environment variable that the host sets to the digest of the container's image."""
DIGEST_HEADER = "X-Image-Digest"


def health(*paths: str, in_schema: bool = True) -> APIRouter:
    """Return the route that answers while the process lives. It asks nothing of anything else.

    The digest in its answer tells a release which image serves behind an address.
    """
    router = APIRouter()

    async def alive(response: Response) -> dict[str, str]:
        """Alive. Asks nothing of anything else."""
        if digest := os.environ.get(IMAGE_DIGEST, "").strip():
            response.headers[DIGEST_HEADER] = digest
        return {"status": "ok"}

    for path in paths:
        router.add_api_route(path, alive, methods=["GET"], name="health", include_in_schema=in_schema)
    return router


T = TypeVar("T")


class Kept(Generic[T]):
    """The outcome of checks that one caller makes at a time; the others are given what it found.

    So /ready costs no more than a check every KEPT_SECONDS, whoever asks and however often.
    """

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._found: tuple[float, T] | None = None

    async def get(self) -> T:
        """Return what was found, no older than KEPT_SECONDS."""
        async with self._lock:
            now = time.monotonic()
            if self._found is None or now - self._found[0] >= KEPT_SECONDS:
                self._found = now, await self._look()
            return self._found[1]
