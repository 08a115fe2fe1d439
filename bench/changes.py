"""Change a checkout as a scenario asks: the same for each contender, and something else in each run.

The checkout is the bench's own copy, brought back to its commit after each measurement.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.plan import PLAN, Change, Item
from devcloud.images import dockerfile_graph
from devcloud.pulumi.stack_config import key

FILE_BYTES = 100_000


def apply(root: Path, change: Change, run: int) -> None:
    """Make a change in a checkout, for the nth run."""
    for file, line in change.append.items():
        _append(root / file, line.format(run=run))
    for folder, count in change.add_files.items():
        add_files(root / folder, count, seed=run)
    for pattern in change.require:
        for lock in sorted(root.glob(pattern)):
            requirement, sha256 = _nth(list(PLAN.added_requirements.items()), run)
            _append(lock, f"{requirement} \\\n    --hash=sha256:{sha256}")
    if change.next_version:
        version = root / change.next_version
        major, minor, _ = version.read_text().strip().split(".", 2)
        version.write_text(f"{major}.{int(minor) + run}.0\n")
    for file in change.system_package:
        add_system_package(root / file, _nth(PLAN.added_system_packages, run))
    if change.rename_model:
        _change_models(root, lambda models: [{**models[0], "name": f"{models[0]['name']}-{run}"}, *models[1:]])
    if change.use_model:
        use_model(root, change.use_model, run)


def use_model(root: Path, model: Mapping[str, str], run: int = 1) -> None:
    """Make a model the only one of the checkout's local stack."""
    _change_models(root, lambda _: [{name: value.format(run=run) for name, value in model.items()}])


def add_files(folder: Path, count: int, seed: int) -> None:
    """Add files of bytes that no compression makes smaller."""
    folder.mkdir()
    source = random.Random(seed)  # noqa: S311  no secret: the same bytes on every machine
    for number in range(count):
        (folder / f"{number:03}.bin").write_bytes(source.randbytes(FILE_BYTES))


def add_system_package(dockerfile: Path, package: str) -> None:
    """Install a package of Debian's in the last stage of a Dockerfile, before everything else that it does."""
    steps = dockerfile_graph.read(dockerfile, {}).last_stage[1:]  # the first is FROM
    lines = dockerfile.read_text().splitlines()
    place = steps[0].line - 1 if steps else len(lines)
    lines[place:place] = [
        "USER 0:0",
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends "
        f"{package} && rm -rf /var/lib/apt/lists/*",
    ]
    dockerfile.write_text("\n".join(lines) + "\n")


def _nth(items: Sequence[Item], run: int) -> Item:
    return items[(run - 1) % len(items)]


def _append(file: Path, line: str) -> None:
    with file.open("a") as text:
        text.write(f"{line}\n")


def _change_models(root: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Replace the models of the checkout's local stack."""
    file = root / "Pulumi.local.yaml"
    document = yaml.safe_load(file.read_text())
    images = document["config"][key("images")]
    images["models"] = change(images["models"])
    file.write_text(yaml.safe_dump(document, sort_keys=False))
