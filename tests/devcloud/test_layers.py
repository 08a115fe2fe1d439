"""The packages of devcloud stand on each other in one order, and its processes of their own use only util."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from tests.sources import tree_of

LAYERS = ("bootstrap", "util", "toolchain", "cloud", "images", "pulumi", "verify", "cli")
PROCESSES = {"plugins", "emulator", "machines"}
ALLOWED = {
    **{layer: {*LAYERS[: place + 1], *PROCESSES} for place, layer in enumerate(LAYERS)},
    "util": {"bootstrap", "util"},
    "dev": {*LAYERS[:-1], "dev"},
    "plugins": {"bootstrap", "util", "plugins"},
    "emulator": {"bootstrap", "util", "emulator"},
    "machines": {"bootstrap", "util", "machines"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""What each package may import of devcloud."""


def imports(file: Path) -> Iterator[str]:
    """The modules that a file imports, wherever it does so."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative name: devcloud.pulumi is not pulumi"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("file", sorted((ROOT / "devcloud").rglob("*.py")), ids=lambda file: file.stem)
def test_a_module_imports_only_layers_below_its_own(file: Path) -> None:
    package = file.relative_to(ROOT / "devcloud").parts[0].removesuffix(".py")
    for module in imports(file):
        top, _, rest = module.partition(".")
        assert top not in ("bench", "tests", "app"), f"{package} imports {module}"
        if top == "devcloud":
            assert rest.partition(".")[0] in ALLOWED[package], f"{package} imports {module}"
