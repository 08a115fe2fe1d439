"""Make the measurements of a session, which is one contender with one model."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import changes
from bench.builds import Builds, Release, Tools, measured
from bench.checkout import Checkout
from bench.plan import MONOLITH, OURS, PLAN, Change, Scenario, Step
from bench.roles import images_not_run, service_image, worker_image
from bench.running import Running
from bench.store import Store
from devcloud.cloud.services import Services
from devcloud.images.build import BUILD_SECONDS
from devcloud.images.registry import RegistryReader
from devcloud.util.processes import output


@dataclass(frozen=True)
class Bench:
    """Everything that sessions share: the cloud's services, the tools, the copy of the repository."""

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
        self._release: Release | None = None
        self._running: Running | None = None
        bench.checkout.copy(model)
        self._builds = self._fresh()
        # Nothing of the contender before helps this one.
        self._builds.empty_builder()

    def measure(self, step: Step) -> dict[str, float]:
        """Return the figures of one measurement, by metric."""
        scenario = PLAN.scenario(step.scenario)
        match scenario.measure:
            case "cold":
                return self._cold()
            case "size":
                return self._size()
            case "build":
                return self._change(scenario, step.run)
            case "up":
                return self._up(scenario, step.run)
            case "start_service":
                return self._containers().start_service()
            case "start_worker":
                return self._containers().start_worker()
            case "read":
                return self._containers().read()
            case "write":
                return self._containers(fresh=True).write()
            case "jobs":
                return self._containers(fresh=True).jobs(scenario.jobs, scenario.within_seconds)

    def end(self) -> None:
        """Remove what still runs."""
        if self._running:
            self._running.remove()

    def _cold(self) -> dict[str, float]:
        """Measure a build of everything from nothing."""
        self._builds = self._fresh()
        self._builds.empty_builder()
        self._release, figures = measured(self._builds, self.bench.store, None, skip_same=False)
        self._running = None
        return figures

    def _size(self) -> dict[str, float]:
        """Measure the size of each image."""
        registry, engine = RegistryReader(self.bench.services.cloud), self.bench.services.engine
        figures: dict[str, float] = {}
        total = 0.0
        for image, reference in self._references().items():
            repository, _, digest = reference.removeprefix(f"{self.bench.registry}/").partition("@")
            compressed = float(registry.size(repository, digest).compressed)
            engine.pull(reference)
            unpacked = float(str(engine.inspect("image", reference)["Size"]))
            for name in (service_image(), worker_image()) if image == MONOLITH else (image,):
                figures[name], figures[f"{name}_compressed"] = unpacked, compressed
            if image not in images_not_run():
                total += compressed
        return figures | {"all_compressed": total}

    def _change(self, scenario: Scenario, run: int) -> dict[str, float]:
        """Measure a build after a change, on a builder that knows the state before it, or on an empty one."""
        before = self._primed()
        if scenario.empty_builder:
            if self._builds.caches:
                self._builds.build()  # the cache is that of the commit, whatever was measured last
            self._builds.empty_builder()
        try:
            changes.apply(self.bench.checkout.root, scenario.change, run)
            skip_same = self.contender == OURS and scenario.change != Change()
            return measured(self._builds, self.bench.store, before, skip_same=skip_same)[1]
        finally:
            self.bench.checkout.restore()

    def _up(self, scenario: Scenario, run: int) -> dict[str, float]:
        """Measure the whole program under Pulumi, in the copy, after an `up` of the copy as it is."""
        self._run_up()
        try:
            changes.apply(self.bench.checkout.root, scenario.change, run)
            result = self._run_up()
        finally:
            self.bench.checkout.restore()
        figures = {"seconds": float(result["seconds"])}
        if result["builds"]:
            figures["image"] = float(max(result["builds"].values()))
        return figures

    def _run_up(self) -> Mapping[str, Any]:
        call = [sys.executable, "devcloud/bootstrap.py", "bench.up", self.bench.services.cloud.name]
        answer: dict[str, Any] = json.loads(output(call, cwd=self.bench.checkout.root, timeout=BUILD_SECONDS))
        return answer

    def _primed(self) -> Release:
        """Return the contender's images of the copy as it is, built if they are missing."""
        if self._release is None:
            self._release = self._builds.build()
        return self._release

    def _containers(self, fresh: bool = False) -> Running:
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
        """Return builds into repositories that hold nothing yet."""
        path = f"bench/{self.contender}/{int(time.time() * 1000):x}"
        return Builds(self.contender, self.bench.checkout.root, self.bench.registry, path, self.bench.tools)
