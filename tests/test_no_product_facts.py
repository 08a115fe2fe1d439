"""Slipway's own code names no service, no image and no port of the product, and not the project."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from infra import ROOT
from infra.product import product_of
from infra.settings.stack_file import project_name
from tests.sources import tree_of

EXCEPTIONS: dict[str, str] = {
    "devcloud/cloud/databases.py": "the cloud's own PostgreSQL and Redis, outside any host",
    "devcloud/dev/dev.py": "PostgreSQL and Redis as processes of `make dev`",
    "devcloud/toolchain/assembly.py": "PostgreSQL and Redis as parts of the toolchain",
    "devcloud/toolchain/database_standins.py": "stand-ins for Docker's PostgreSQL and Redis, by these names",
    "devcloud/toolchain/standins.py": "a stand-in for Docker Hub's Caddy, which is also what our edge is called",
    "devcloud/cloud/services.py": "`auth` is a key of Docker's own configuration",
    "devcloud/emulator/ecs.py": "`base` is a key of ECS's capacity provider strategy",
    "infra/components/network.py": "`worker` is a resource of the component, not the image",
    "infra/components/worker.py": "`base` is a key of ECS's capacity provider strategy",
    "infra/host/secrets.py": "`auth` is a key of Docker's own configuration",
    "infra/settings/checks.py": "`redis` is the scheme of its addresses",
    "infra/settings/models.py": "the ports of PostgreSQL and Redis, which the API may not have",
    "infra/lib/cost.py": "`worker` is a line of the bill",
    "infra/program.py": "`worker` is a component, and a key of the outputs",
}
"""Files and folders in which a word of the product means something else, or is meant."""


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
    return {value for value in literals(tree_of(file)) if value in names | ports}


def texts(file: Path) -> Iterator[str]:
    """Yield the strings of a file, parts of formatted ones too, but no docstrings."""
    tree = tree_of(file)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def files_with(pattern: str) -> set[str]:
    """Return the files that have a match of a pattern in a string."""
    return {path_of(file) for file in FILES if any(re.search(pattern, text) for text in texts(file))}


def path_of(file: Path) -> str:
    """Return the path of a file in the checkout."""
    return file.relative_to(ROOT).as_posix()


def excepted(path: str, exceptions: Iterable[str] = EXCEPTIONS) -> str | None:
    """Return the exception that a path falls under."""
    return next((place for place in exceptions if path == place or path.startswith(f"{place}/")), None)


OWN_NAMES: dict[str, str] = {
    "devcloud/bootstrap.py": "the cache folder, and Slipway by its name",
    "devcloud/cloud/cloud.py": "a cloud's network, and its passphrase",
    "devcloud/cloud/databases.py": "the databases' user",
    "devcloud/cloud/services.py": "the builder of a cloud",
    "devcloud/dev/dev.py": "the database and the queues of `make dev`",
    "devcloud/machines/containers.py": "a cloud's hosts, by their containers' names",
    "infra/host": "the host's folders, units, chain and network",
    "infra/lib/alarms.py": "the host's folder of journals",
    "infra/releases/bootstrap.py": "the host's folders and units",
    "infra/releases/host_document.py": "the host's folder of programs",
    "infra/releases/live.py": "a unit of the host",
    "infra/releases/run_command.py": "the comment on each command",
    "infra/settings": "examples, and the builder that `make builder` makes",
}
"""Files and folders in which the tool names something of its own."""


FILES = sorted(file for folder in ("devcloud", "bench", "infra") for file in (ROOT / folder).rglob("*.py"))


def test_no_file_names_what_only_product_yaml_should() -> None:
    named = {path_of(file): found for file in FILES if not excepted(path_of(file)) and (found := found_in(file))}
    assert named == {}


@pytest.mark.parametrize("place", EXCEPTIONS)
def test_every_exception_is_needed(place: str) -> None:
    files = [file for file in FILES if excepted(path_of(file)) == place]
    assert any(found_in(file) for file in files)


PROJECT = project_name(ROOT / "Pulumi.yaml")


def test_a_settings_key_is_spelled_with_the_projects_name_of_pulumi_yaml() -> None:
    # `slipway:index:` is the package of our components' types, whatever the project is called.
    assert files_with(rf"(?<![\w.-]){PROJECT}:(?!index:)") == set()


def test_no_file_names_the_project_but_for_the_tools_own_names() -> None:
    # `.slipway` is our folder in a checkout.
    found = files_with(rf"(?<![\w.]){PROJECT}(?!:)(?![a-z])")
    assert {excepted(path, OWN_NAMES) or path for path in found} == set(OWN_NAMES)
