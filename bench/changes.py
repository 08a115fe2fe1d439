"""What each scenario of a build changes in a checkout: the same for each contender, and anew for each run.

The checkout is the bench's own copy, brought back to its commit after each measurement.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.plan import RANDOM
from devcloud.images import dockerfile_graph
from devcloud.pulumi.stack_config import key

FILES, FILE_BYTES = 100, 100_000
"""Of the change of many files: 10 MB together."""

PACKAGES = (
    ("sortedcontainers==2.4.0", "a163dcaede0f1c021485e957a39245190e74249897e2ae4b2aa38595db237ee0"),
    ("blinker==1.9.0", "ba0efaa9080b619ff2f3459d1d500c57bddea4a6b424b60a91141db6fd2f08bc"),
    ("toolz==1.0.0", "292c8f1c4e7516bf9086f8850935c799a874039c8bcf959d47b600e4c44a6236"),
)
"""Small packages that need nothing else and are in no lock of ours, with their wheels' hashes; one for each run."""

SYSTEM_PACKAGES = ("tini", "tree", "less")
"""Small packages of Debian's that are in no image; one for each run."""

ONE_MODEL = {"source": "random", "reference": "bert-base"}
"""Random weights in BERT-base's shape, as infra/settings/models.py has it."""


def code_api(root: Path, run: int) -> None:
    """A line in a file of the API."""
    _append(root / "app/api/__init__.py", f"# bench {run}")


def code_api_again(root: Path, run: int) -> None:
    """Another line in that file, which no measurement before has pushed."""
    _append(root / "app/api/__init__.py", f"# bench again {run}")


def code_worker(root: Path, run: int) -> None:
    """A line in a file of the worker that its models are not made with."""
    _append(root / "app/worker/work.py", f"# bench {run}")


def many(root: Path, run: int) -> None:
    """100 new files in app/api, of bytes that no compression makes smaller."""
    folder = root / "app/api/many"
    folder.mkdir()
    source = random.Random(run)  # noqa: S311  no secret: the same bytes on every machine
    for number in range(FILES):
        (folder / f"{number:03}.bin").write_bytes(source.randbytes(FILE_BYTES))


def requirement_api(root: Path, run: int) -> None:
    """A package more in the API's lock, and in the monolith's, which has the same."""
    _require(root / "images/api/requirements.lock", run)


def requirement_worker(root: Path, run: int) -> None:
    """A package more in the worker's lock."""
    _require(root / "images/worker/requirements.lock", run)


def argument(root: Path, run: int) -> None:
    """Another value of a build argument: MODELS, with another name for its model."""
    models = _models(root)
    models[0]["name"] = f"{models[0]['name']}-{run}"
    _set_models(root, models)


def model(root: Path, run: int) -> None:
    """Another model."""
    _set_models(root, [{**ONE_MODEL, "name": f"another-random-{run}", "revision": str(1000 + run)}])


def base(root: Path, run: int) -> None:
    """A package more in each lock of the base, and the version after."""
    for lock in sorted(root.glob("images/base/requirements-*.lock")):
        _require(lock, run)
    version = root / "images/base/VERSION"
    major, minor, _ = version.read_text().strip().split(".", 2)
    version.write_text(f"{major}.{int(minor) + run}.0\n")


def system(root: Path, run: int) -> None:
    """A package of Debian's more, in the image that runs the model: in the worker's, and in each rival's of it."""
    package = SYSTEM_PACKAGES[(run - 1) % len(SYSTEM_PACKAGES)]
    for name in ("images/worker/Dockerfile", *RIVALS):
        add_system_package(root / name, package)


RIVALS = ("bench/rivals/monolith/Dockerfile", "bench/rivals/two-tier/Dockerfile")

CHANGES: Mapping[str, Callable[[Path, int], None]] = {
    "code-api": code_api,
    "code-worker": code_worker,
    "many": many,
    "requirement-api": requirement_api,
    "requirement-worker": requirement_worker,
    "argument": argument,
    "model": model,
    "base": base,
    "system": system,
    "empty": code_api_again,
    "up-code-api": code_api,
    "up-code-worker": code_worker,
}
"""By scenario. One that is not here changes nothing."""


def apply(root: Path, scenario: str, run: int) -> None:
    """Change the checkout as a scenario asks."""
    if scenario in CHANGES:
        CHANGES[scenario](root, run)


def use_model(root: Path, name: str) -> None:
    """Have the local stack of the checkout use the model `name` of plan.BOTH."""
    if name == RANDOM:
        _set_models(root, [{**ONE_MODEL, "name": RANDOM, "revision": "1"}])


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


def _append(file: Path, line: str) -> None:
    with file.open("a") as text:
        text.write(f"{line}\n")


def _require(lock: Path, run: int) -> None:
    requirement, sha256 = PACKAGES[(run - 1) % len(PACKAGES)]
    _append(lock, f"{requirement} \\\n    --hash=sha256:{sha256}")


def _settings(root: Path) -> tuple[Path, dict[str, Any]]:
    file = root / "Pulumi.local.yaml"
    return file, yaml.safe_load(file.read_text())


def _models(root: Path) -> list[dict[str, Any]]:
    _, document = _settings(root)
    found: list[dict[str, Any]] = document["config"][key("images")]["models"]
    return found


def _set_models(root: Path, models: list[dict[str, Any]]) -> None:
    file, document = _settings(root)
    document["config"][key("images")]["models"] = models
    file.write_text(yaml.safe_dump(document, sort_keys=False))
