"""The tools of the worker's build, in an environment of their own: the base's torch and what the export adds."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devcloud.bootstrap import ROOT, cache_folder
from infra.lib.canonical_json import canonical_json
from infra.settings import load_file

TINY = {
    "name": "random-tiny",
    "source": "random",
    "reference": "bert-tiny",
    "revision": "7",
    "sha256": "",
    "export": "int8",
}


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


class Tools:
    """Runs the build's scripts, and the worker, as the image's stages do."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def run(
        self, *arguments: str | Path, typed: str = "", environment: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> Done:
        """Run Python with these arguments, the checkout on its path."""
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd,
            env={
                "PATH": f"{self.python.parent}:{os.environ['PATH']}",
                "HOME": str(Path.home()),
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                **(environment or {}),
            },
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def fetch(self, models: Sequence[Mapping[str, str]], to: Path, folders: Path = Path("/nowhere")) -> Done:
        """Fetch models to below `to`."""
        return self.run(
            *("-m", "images.worker.fetch_model", "--models", canonical_json(list(models))),
            *("--folders", folders, "--to", to),
        )

    def export(self, models: Sequence[Mapping[str, str]], fetched: Path, to: Path, **environment: str) -> Done:
        """Export models as the image has them below /opt: `to`/model and `to`/models."""
        return self.run(
            *("-m", "images.worker.export_model", "--models", canonical_json(list(models)), "--fetched", fetched),
            *("--encoder", to / "model", "--others", to / "models"),
            environment=environment,
        )

    def embed(self, to: Path) -> Done:
        """Embed the categories' prototypes with `to`/model."""
        return self.run(
            "-m", "images.worker.embed_prototypes", "--model", to / "model", "--to", to / "model/prototypes"
        )

    def build(self, models: Sequence[Mapping[str, str]], fetched: Path, to: Path, **environment: str) -> Path:
        """All of it; `to`. Fails the test where a step fails."""
        for done in (self.export(models, fetched, to, **environment), self.embed(to)):
            assert done.code == 0, done.err
        return to

    def self_test(self, to: Path) -> tuple[int, dict[str, Any]]:
        """The worker's self-test of `to`/model: its exit status and what it said."""
        done = self.run("-m", "app.worker", "--self-test", "--model", to / "model")
        assert done.out.count("\n") == 1, done.err
        found: dict[str, Any] = json.loads(done.out)
        return done.code, found


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The tools; made once for each pair of locks, like every other environment, in the cache folder."""
    torch = load_file(ROOT / "Pulumi.local.yaml", "local").images.torch
    wheels = torch.wheel_files(ROOT)
    base = "requirements-cpu.lock" if wheels else "requirements-pypi.lock"
    locks = [ROOT / "images/base" / base, ROOT / "images/worker/requirements-export.lock"]
    key = hashlib.sha256(b"\0".join(lock.read_bytes() for lock in locks) + sys.version.encode()).hexdigest()[:12]
    venv = cache_folder() / "models-python" / f"{key}-compiled"
    done = venv / ".done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        given = [part for lock in locks for part in ("-r", str(lock))]
        links = ["--find-links", str(wheels[0].parent)] if wheels else []
        subprocess.run(
            [
                *(str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps"),
                # PyTorch takes five seconds to import as source, and some machines forbid to keep what was compiled.
                *("--compile-bytecode", "--require-hashes", "--python", str(venv / "bin/python"), *links, *given),
            ],
            check=True,
        )
        done.touch()
    return Tools(venv / "bin/python")


@pytest.fixture(scope="session")
def tiny(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of random weights, built: below it `model`."""
    return tools.build([TINY], Path("/nowhere"), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def local_models() -> list[dict[str, str]]:
    """The local stack's models, as its build gets them."""
    return [model.model_dump() for model in load_file(ROOT / "Pulumi.local.yaml", "local").images.models]


@pytest.fixture(scope="session")
def fetched(tools: Tools, local_models: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local stack's models as they were fetched, each in a folder of its name."""
    to = tmp_path_factory.mktemp("fetched")
    done = tools.fetch(local_models, to)
    assert done.code == 0, done.err
    return to


@pytest.fixture(scope="session")
def local(
    tools: Tools, local_models: list[dict[str, str]], fetched: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The local stack's models, built: below it `model`."""
    return tools.build(local_models, fetched, tmp_path_factory.mktemp("local"))
