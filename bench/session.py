"""The measurements, one after the other: each a function of a session, which is one contender with one model."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import changes
from bench.builds import Builds, Outcome, Tools, measured
from bench.checkout import Checkout
from bench.plan import MONOLITH, OURS, Step, scenario
from bench.running import Running
from bench.store import Store
from devcloud.cloud.services import Services
from devcloud.images.build import BUILD_SECONDS
from devcloud.images.registry import RegistryReader
from devcloud.util.console import UserError

RUNS_APART = ("base",)


@dataclass(frozen=True)
class Bench:
    """What every session has: the cloud's services, the tools, the copy of the repository."""

    services: Services
    tools: Tools
    checkout: Checkout
    store: Store

    @property
    def registry(self) -> str:
        """The plain registry: what all contenders push to, without the rules of ECR's front."""
        return f"127.0.0.1:{self.services.cloud.ports.registry}"


class Session:
    """One contender with one model. A measurement leaves the checkout and the builder's baseline as they were."""

    def __init__(self, bench: Bench, model: str, contender: str) -> None:
        self.bench = bench
        self.model = model
        self.contender = contender
        self._release: Outcome | None = None
        self._running: Running | None = None
        bench.checkout.copy(model)
        self._builds = self._fresh()
        # Nothing of the contender before helps this one.
        self._builds.empty_builder()

    def measure(self, step: Step) -> dict[str, float]:
        name = step.scenario
        if name in MEASURES:
            return MEASURES[name](self)
        if scenario(name).group == "up":
            return self._up(step)
        return self._change(step)

    def end(self) -> None:
        """Remove what still runs."""
        if self._running:
            self._running.remove()

    def cold(self) -> dict[str, float]:
        """Everything from nothing."""
        self._builds = self._fresh()
        self._builds.empty_builder()
        self._release, figures = measured(self._builds, self.bench.store, None, skip_same=False)
        self._running = None
        return figures

    def size(self) -> dict[str, float]:
        """What each image weighs."""
        release, registry, engine = (
            self._primed(),
            RegistryReader(self.bench.services.cloud),
            self.bench.services.engine,
        )
        figures: dict[str, float] = {}
        total = 0.0
        for image, built in release.images.items():
            repository = f"{self._builds.path}/{image}"
            compressed = float(registry.size(repository, built.digest).compressed)
            reference = self._references()[image]
            engine.pull(reference)
            unpacked = float(str(engine.inspect("image", reference)["Size"]))
            for name in ("api", "worker") if image == MONOLITH else (image,):
                figures[name], figures[f"{name}_compressed"] = unpacked, compressed
            if image not in RUNS_APART:
                total += compressed
        return figures | {"all_compressed": total}

    def _change(self, step: Step) -> dict[str, float]:
        """A build after a change, on a builder that knows what was before it, or on an empty one."""
        before = self._primed()
        if step.scenario == "empty":
            if self._builds.caches:
                self._builds.build()  # the cache is the commit's before, whatever was measured last
            self._builds.empty_builder()
        try:
            changes.apply(self.bench.checkout.root, step.scenario, step.run)
            same = self.contender == OURS and step.scenario != "nothing"
            return measured(self._builds, self.bench.store, before, skip_same=same)[1]
        finally:
            self.bench.checkout.restore()

    def _up(self, step: Step) -> dict[str, float]:
        """The whole program by the real engine, in the copy, after an `up` of the copy as it is."""
        self._run_up()
        try:
            changes.apply(self.bench.checkout.root, step.scenario, step.run)
            said = self._run_up()
        finally:
            self.bench.checkout.restore()
        figures = {"seconds": float(said["seconds"])}
        image = step.scenario.rpartition("-")[2]
        if image in said["builds"]:
            figures["image"] = float(said["builds"][image])
        return figures

    def _run_up(self) -> dict[str, Any]:
        call = [sys.executable, "devcloud/bootstrap.py", "bench.up", self.bench.services.cloud.name]
        done = subprocess.run(
            call, cwd=self.bench.checkout.root, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        if done.returncode != 0:
            raise UserError(f"`pulumi up` failed: {' / '.join(done.stderr.splitlines()[-6:])}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _primed(self) -> Outcome:
        """The contender's images of the copy as it is, built where they are not."""
        if self._release is None:
            self._release = self._builds.build()
        return self._release

    def containers(self, fresh: bool = False) -> Running:
        """Return the contender's containers, those of the measurement before unless `fresh`."""
        if self._running is None or fresh:
            scratch = self.bench.services.cloud.folder / "bench"
            self._running = Running(self.bench.services, self.contender, self._references(), scratch)
            self._running.prepare()
        return self._running

    def _references(self) -> dict[str, str]:
        images = self._primed().images
        return {image: f"{self._builds.namespace}/{image}@{built.digest}" for image, built in images.items()}

    def _fresh(self) -> Builds:
        """Builds into repositories that hold nothing yet."""
        path = f"bench/{self.contender}/{int(time.time() * 1000):x}"
        return Builds(self.contender, self.bench.checkout.root, self.bench.registry, path, self.bench.tools)


MEASURES: Mapping[str, Callable[[Session], dict[str, float]]] = {
    "cold": Session.cold,
    "size": Session.size,
    "start-api": lambda session: session.containers().start_api(),
    "start-worker": lambda session: session.containers().start_worker(),
    "read": lambda session: session.containers().read(),
    "write": lambda session: session.containers(fresh=True).write(),
    "jobs": lambda session: session.containers(fresh=True).jobs(200, 300),
    "thousand": lambda session: session.containers(fresh=True).jobs(1000, 900),
}
"""The scenarios that change nothing in the checkout."""


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
