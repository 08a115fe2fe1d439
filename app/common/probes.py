"""The routes that the host asks: is the service alive, and which image answers."""

import os

from fastapi import APIRouter, Response

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
