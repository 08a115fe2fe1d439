"""A service imports only what it needs: each costs memory in a process that runs all day."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.services

MODEL = ("torch", "transformers", "onnxruntime", "tokenizers", "numpy", "app.worker")
CHAT = ("langgraph", "langchain_core", "openai", "app.chat")
HTTP = ("fastapi", "starlette", "uvicorn", "pydantic")
QUEUE = ("boto3", "botocore")
PAGES = ("jinja2", "pygal", "app.dashboard")


def imported(module: str) -> set[str]:
    """What is loaded once `module` is."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("app.auth.service", (*MODEL, *CHAT, *QUEUE, *PAGES, "alembic", "psycopg", "app.api", "app.migrate")),
        ("app.migrate.service", (*MODEL, *CHAT, *QUEUE, *PAGES, *HTTP, "redis", "argon2", "app.api", "app.auth")),
        ("app.api.service", (*MODEL, *PAGES, "alembic", "psycopg", "argon2", "app.auth", "app.migrate")),
        ("app.__main__", (*MODEL, *CHAT, *QUEUE, *PAGES, *HTTP, "sqlalchemy", "redis", "alembic")),
        ("app.health", (*MODEL, *CHAT, *QUEUE, *PAGES, *HTTP, "sqlalchemy", "redis", "alembic", "json", "asyncio")),
    ],
)
def test_a_service_imports_nothing_that_it_does_not_need(module: str, unwanted: tuple[str, ...]) -> None:
    assert imported(module).isdisjoint(unwanted)
