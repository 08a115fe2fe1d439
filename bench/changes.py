"""Change a checkout as a scenario asks: the same for each contender, and something else in each run.

The checkout is the bench's own copy, brought back to its commit after each measurement.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.plan import PLAN, Change, Item
from devcloud.util.console import UserError

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
        dockerfile = root / file
        package = _nth(PLAN.added_system_packages, run)
        dockerfile.write_text(with_system_package(dockerfile.read_text(), package))
    if change.rename_model:
        _change_models(root, lambda models: [{**models[0], "name": f"{models[0]['name']}-{run}"}, *models[1:]])
    if change.use_model:
        use_model(root, change.use_model, run)


def use_model(root: Path, model: Mapping[str, str], run: int = 1) -> None:
    """Make a model the only one of the checkout's local stack."""
    _change_models(root, lambda _: [{key: value.format(run=run) for key, value in model.items()}])


def add_files(folder: Path, count: int, seed: int) -> None:
    """Add files of bytes that no compression makes smaller."""
    folder.mkdir()
    source = random.Random(seed)  # noqa: S311  no secret: the same bytes on every machine
    for number in range(count):
        (folder / f"{number:03}.bin").write_bytes(source.randbytes(FILE_BYTES))


def with_system_package(dockerfile: str, package: str) -> str:
    """Return a Dockerfile whose last stage first installs a Debian package."""
    stages = list(re.finditer(r"^FROM .*\n(?:ARG .*\n)*", dockerfile, re.MULTILINE))
    if not stages:
        raise UserError("A Dockerfile without a stage cannot get a system package.")
    end = stages[-1].end()
    install = (
        "USER 0:0\n"
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends "
        f"{package} && rm -rf /var/lib/apt/lists/*\n"
    )
    return dockerfile[:end] + install + dockerfile[end:]


def _nth(items: Sequence[Item], run: int) -> Item:
    return items[(run - 1) % len(items)]


def _append(file: Path, line: str) -> None:
    with file.open("a") as text:
        text.write(f"{line}\n")


def _change_models(root: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Replace the models of the checkout's local stack."""
    file = root / "Pulumi.local.yaml"
    document = yaml.safe_load(file.read_text())
    images = document["config"]["slipway:images"]
    images["models"] = change(images["models"])
    file.write_text(yaml.safe_dump(document, sort_keys=False))
