"""A small repository, out of which images are made."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from infra.builds.content import ContextFile, content_tag

FILES = {
    "images/api/Dockerfile": "FROM python\n",
    "images/api/start.sh": "#!/bin/sh\n",
    "app/__init__.py": "",
    "app/api/main.py": "print('hello')\n",
    "app/api/routes/labs.py": "LABS = []\n",
    "app/worker/main.py": "print('work')\n",
}
ALLOW = ("images/api/**", "app/__init__.py", "app/api/**")


def checkout(root: Path, umask: int = 0o022) -> Path:
    """A small repository, made under a umask."""
    before = os.umask(umask)
    try:
        for name, text in FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        start = root / "images/api/start.sh"
        start.chmod(start.stat().st_mode | (0o111 & ~umask))
    finally:
        os.umask(before)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path / "repository")


@pytest.fixture
def any_umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def paths(files: Sequence[ContextFile]) -> list[str]:
    return [file.path for file in files]


def tag(of: Sequence[ContextFile], **changes: object) -> str:
    given: dict[str, object] = {
        "image": "api",
        "files": of,
        "build_args": {"PYTHON_IMAGE": "python:3.11-slim"},
        "platform": "linux/amd64",
        "parents": {"python": "python:3.11-slim"},
        "options": {"compression": "zstd"},
    }
    return content_tag(**(given | changes))  # type: ignore[arg-type]
