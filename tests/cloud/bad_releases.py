"""Releases that must be refused: bad code for a whole `up`, and bad images for the gate alone."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.cloud.variants import ABSENT, Variant

SERVICE = "app/api/service.py"
VERSIONS = "app/migrations/versions"
PYTHON = ("/opt/venv/bin/python", "-c")

SPOILT = """

def run(environment: Mapping[str, str]) -> int:
    import os
    import threading
    from fastapi.responses import JSONResponse

    print("this api is spoilt", flush=True)
    app = application(Settings.read(environment))
{code}
    return web.serve(app, environment)
"""
ANSWER = """
    @app.middleware("http")
    async def spoil(request, call_next):
        if request.url.path == "{path}":
            return JSONResponse({{"detail": "spoilt"}}, {status})
        return await call_next(request)
"""
DIE = """
    @app.middleware("http")
    async def spoil(request, call_next):
        answer = await call_next(request)
        if request.url.path == "/ready" and answer.status_code == 200 and threading.active_count() < 50:
            threading.Timer(5, lambda: (print("this api dies", flush=True), os._exit(7))).start()
        return answer
"""
EAT = "print('this api is spoilt', flush=True); eaten = [b'x' * 2**20 + bytes([n % 256]) for n in range(2000)]"
HANG = "import time; print('this one hangs', flush=True); time.sleep(3600)"


@dataclass(frozen=True)
class BadCode:
    """Code that is added to the API's service, and what `up` must say."""

    code: str
    cause: str
    """Expression that the cause matches."""
    log: str = "this api is spoilt"
    """Is in the end of the log."""


BAD_CODE = {
    "exits at once": BadCode(SPOILT.format(code="    return 3"), r"failed at `api`: api ended with exit code 3"),
    "dies 5 s after it was ready": BadCode(
        SPOILT.format(code=DIE), r"failed at `\w+`: api ended with exit code 7", "this api dies"
    ),
    "500 on a probe": BadCode(
        SPOILT.format(code=ANSWER.format(path="/labs", status=500)),
        r"failed at `api`: The probe GET /labs of api answered 500: .*, but product\.yaml expects 401",
    ),
    "other port": BadCode(
        SPOILT.format(code='    environment = {**environment, "PORT": "8100"}'),
        r"failed at `api`: api was not ready within 45 s: nothing listens on its port 8000 \(it listens on 8100\)",
    ),
    "never ready": BadCode(
        SPOILT.format(code=ANSWER.format(path="/ready", status=503)),
        r"failed at `api`: api was not ready within 45 s: GET /ready answered 503: .*spoilt",
    ),
}


@dataclass(frozen=True)
class BadImage:
    """An image that takes the place of a service's own, and what the gate must say."""

    service: str
    variant: Variant | None
    """None for an image that the registry does not have."""
    cause: str
    log: str = ""
    seconds: float = 30
    """The failing step's own limit."""
    bar: int = 2


def migration(root: Path, statement: str) -> Variant:
    """Return an image with one more migration than the checkout at `root` has."""
    head = max(file.name[:4] for file in (root / VERSIONS).glob("[0-9]*.py"))
    revision = f"{int(head) + 1:04}"
    text = (
        f'"""A step of a test."""\n\nfrom alembic import op\n\nrevision = "{revision}"\ndown_revision = "{head}"\n\n\n'
        f'def upgrade() -> None:\n    """Run a statement."""\n    op.execute({json.dumps(statement)})\n'
    )
    return Variant(files={f"srv/{VERSIONS}/{revision}_of_a_test.py": text})


def bad_images(root: Path) -> dict[str, BadImage]:
    """Return the bad images for the code of a checkout."""
    return {
        "eats its memory": BadImage(
            "api",
            Variant(entrypoint=(*PYTHON, EAT)),
            r"failed at `api`: api needed more than its 224 MiB of memory and was killed",
            "this api is spoilt",
        ),
        "its digest is absent": BadImage("api", None, r"failed at `pull`: .*/api@sha256:0{12} is not in the registry"),
        "for another processor": BadImage(
            "api",
            Variant(architecture="arm64"),
            r"failed at `pull`: .*/api@sha256:\w+ is built for arm64, but the host is",
        ),
        "migration fails": BadImage(
            "migrate",
            migration(root, "SELECT 1 / 0"),
            r"failed at `migrate`: migrate ended with exit code 1",
            "division by zero",
            bar=3,
        ),
        "hangs at its start": BadImage(
            "api",
            Variant(entrypoint=(*PYTHON, HANG)),
            r"failed at `api`: api was not ready within 45 s: nothing listens on its port 8000",
            "this one hangs",
            seconds=45,
        ),
        "migration hangs": BadImage(
            "migrate",
            Variant(entrypoint=(*PYTHON, HANG)),
            r"failed at `migrate`: migrate did not end within 120 s",
            "this one hangs",
            seconds=120,
            bar=3,
        ),
    }


QUICK_IMAGES = ("eats its memory", "its digest is absent", "for another processor", "migration fails")
SLOW_IMAGES = ("hangs at its start", "migration hangs")


def large() -> Variant:
    """Return an image with a layer of 4 MB that cannot be packed."""
    return Variant(files={"srv/large": os.urandom(4 * 2**20)})


def absent(reference: str) -> str:
    """Return the reference of an image that the registry does not have."""
    return f"{reference.partition('@')[0]}@{ABSENT}"
