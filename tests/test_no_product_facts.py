"""Slipway's own code names no service, no image and no port of the product."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import ROOT
from infra.product import product_of

EXCEPTIONS: dict[str, str] = {
    "devcloud/toolchain/standins.py": "a stand-in for Docker Hub's Caddy, which is also what our edge is called",
    "devcloud/cloud/services.py": "`auth` is a key of Docker's own configuration",
    "devcloud/pulumi/progress.py": "`auth` is a step of BuildKit's",
    "devcloud/emulator/ecs.py": "`base` is a key of ECS's capacity provider strategy",
    "infra/components/network.py": "`worker` is a resource of the component, not the image",
    "infra/components/worker.py": "`base` is a key of ECS's capacity provider strategy",
    "infra/lib/cost.py": "`worker` is a line of the bill",
    "infra/program.py": "`worker` is a component, and a key of the outputs",
}
"""Where a word that the product uses means something else, or is meant; by file or folder."""


def literals(tree: ast.Module) -> Iterator[object]:
    """Yield strings and numbers that stand for themselves: not parts of a formatted text, no docstrings."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in inside:
            yield node.value


def found_in(file: Path) -> set[object]:
    """Return the product's names and ports that a file has as literals."""
    product = product_of()
    names: set[object] = {*product.images, *product.services}
    ports: set[object] = {service.port for service in product.services.values() if service.port}
    return {value for value in literals(ast.parse(file.read_text("utf-8"))) if value in names | ports}


def excepted(path: str) -> str | None:
    """Return the exception that a path falls under."""
    return next((place for place in EXCEPTIONS if path == place or path.startswith(f"{place}/")), None)


FILES = sorted(file for folder in ("devcloud", "bench", "infra") for file in (ROOT / folder).rglob("*.py"))


def test_no_file_names_what_only_product_yaml_should() -> None:
    paths = {file: file.relative_to(ROOT).as_posix() for file in FILES}
    named = {path: found for file, path in paths.items() if not excepted(path) and (found := found_in(file))}
    assert named == {}


@pytest.mark.parametrize("place", EXCEPTIONS)
def test_every_exception_is_needed(place: str) -> None:
    files = [file for file in FILES if excepted(file.relative_to(ROOT).as_posix()) == place]
    assert any(found_in(file) for file in files)
