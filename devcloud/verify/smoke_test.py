"""Run what a stack declared, and let the product's own smoke test try it through the front door.

Everything in it is what the stack declared: the release's services within the host's memory, the task definition's
image within the task's memory and CPU, the queue, the database. What the product is for, only its own smoke test knows:
`smoke_test` in product.yaml.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from devcloud.bootstrap import ROOT
from devcloud.cloud.docker import Container, DockerEngine
from devcloud.util.console import UserError, row, say, seconds, step
from devcloud.util.files import replace_text
from devcloud.util.processes import traced
from devcloud.util.waiting import wait_until
from devcloud.verify.containers import Workloads, edge_of, way_to
from infra.outputs import StackOutputs, WorkerOutput

READY_SECONDS = 60
SMOKE_SECONDS = 180


class SmokeTest:
    def __init__(self, engine: DockerEngine, stack: str, outputs: StackOutputs) -> None:
        self.engine = engine
        self.cloud = engine.cloud
        self.stack = stack
        self.outputs = outputs
        self.workloads = Workloads(self.cloud)
        self._file: Path = self.cloud.folder / "proofs.json"

    def run(self) -> None:
        """Run it, or name the run that passed for the same digests and task on the same run of this cloud."""
        passed = self._passed().get(self._key())
        if passed:
            say(f"proof: given for these digests on {passed['at']}, in {seconds(passed['seconds'])}")
            return
        say("proof: the release and its worker, run as their platforms would")
        started = time.monotonic()
        with self.running() as address:
            if self.outputs.smoke_test:
                self._try_product(self.outputs.smoke_test, address)
        took = time.monotonic() - started
        passed = self._passed() | {
            self._key(): {"at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"), "seconds": round(took, 1)}
        }
        replace_text(self._file, json.dumps(passed, indent=1, sort_keys=True) + "\n")
        row("proof", f"given in {seconds(took)}")

    @contextlib.contextmanager
    def running(self, label: str = "") -> Iterator[str]:
        """Run everything that the stack declared, and yield the address of its front door."""
        release = self.workloads.release(self.outputs)
        prefix = f"{self.cloud.network}-{label or self.stack}"
        names = {name: f"{prefix}-{name}" for name in (*release, "self-test", "tasks")}
        for container in names.values():
            self.engine.remove(container)
        try:
            serving = {
                name: self.workloads.service(self.outputs, name, image, names)
                for name, image in release.items()
                if not self.outputs.services[name].once
            }
            # The two tiers know nothing of each other, so each gets ready by itself.
            with ThreadPoolExecutor(max_workers=8) as pool:
                host = pool.submit(self._start_host, pool, release, serving, names)
                worker = pool.submit(self._start_worker, self.outputs.worker, names) if self.outputs.worker else None
                host.result()
                if worker:
                    worker.result()
            front = edge_of(self.outputs) or next(iter(serving))
            yield self._address(front, serving[front].name)
            ended = [*(container.name for container in serving.values()), *([names["tasks"]] if worker else [])]
            self._end(ended)
        finally:
            for container in names.values():
                self.engine.remove(container)

    def _start_host(
        self,
        pool: ThreadPoolExecutor,
        release: Mapping[str, str],
        serving: Mapping[str, Container],
        names: Mapping[str, str],
    ) -> None:
        """Start the release as its host would: first what runs once, then every service."""
        once = [name for name in self.outputs.services if self.outputs.services[name].once and name in release]
        first = f", then {', '.join(once)}" if once else ""
        with step("host", f"pulling the release ({', '.join(release)}) by digest{first}"):
            # One image holds several services.
            for pulled in [pool.submit(self.engine.pull, image) for image in sorted(set(release.values()))]:
                pulled.result()
            for name in once:
                self.engine.run(self.workloads.service(self.outputs, name, release[name], names), detach=False)
        together = sum(container.memory_mib or 0 for container in serving.values())
        with step("host", f"{', '.join(serving)} healthy, within {together} of {self.outputs.host_memory_mib} MiB"):
            starts = [pool.submit(self.engine.run, container, detach=True) for container in serving.values()]
            for start in starts:
                start.result()
            for name in serving:
                self._wait_healthy(name, serving)

    def _start_worker(self, worker: WorkerOutput, names: Mapping[str, str]) -> None:
        """Let the task's image test itself, then start the task."""
        task = self.workloads.task(worker.task_definition, names["self-test"], worker.self_test)
        limits = f"within {task.cpus:g} vCPU and {task.memory_mib} MiB"
        with step("tasks", f"pulling the task's image by digest; its self-test, {limits}"):
            self.engine.pull(task.image)
            if worker.self_test:
                self.engine.run(task, detach=False)
            self.engine.run(self.workloads.task(worker.task_definition, names["tasks"]), detach=True)

    def _address(self, name: str, container: str) -> str:
        return f"http://127.0.0.1:{self.engine.published(container, self.outputs.services[name].port or 0)}"

    def _wait_healthy(self, name: str, serving: Mapping[str, Container]) -> None:
        way = way_to(self.outputs, name)
        url = f"{self._address(way.service, serving[way.service].name)}{way.path}"
        said = "nothing"

        def healthy() -> bool:
            nonlocal said
            try:
                answer = httpx.get(url, timeout=10, trust_env=False)
            except httpx.HTTPError:
                return False
            said = str(answer.status_code)
            # A page that asks for a sign-in is an answer; the edge's "nothing behind me" (502) is none.
            return answer.is_success or answer.is_redirect

        if not wait_until(healthy, READY_SECONDS):
            raise UserError(
                f"{name} was not healthy within {READY_SECONDS} s ({url} answered {said}). "
                f"It said: {self.engine.logs(serving[name].name)}"
            )

    def _try_product(self, module: str, address: str) -> None:
        """Run the product's own smoke test: each line that it prints is a step, `what<TAB>text`."""
        command = [sys.executable, "-m", module, address]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                traced(command), cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1
            ) as process,
        ):
            for line in process.stdout or ():
                what, _, text = line.rstrip("\n").partition("\t")
                row(what, text)
            code = process.wait(timeout=SMOKE_SECONDS)
            errors.seek(0)
            problem = errors.read().strip()
        if code != 0:
            raise UserError(f"The product's smoke test failed: {problem or f'exit code {code}'}")

    def _end(self, containers: list[str]) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(containers))) as pool:
            codes = pool.map(self.engine.stop_container, containers)
            for name, code in zip(containers, codes, strict=True):
                if code != 0:
                    raise UserError(f"{name} did not end cleanly on SIGTERM: exit code {code}.")

    def _key(self) -> str:
        digests = ",".join(f"{image}={digest}" for image, digest in sorted(self.outputs.digests.items()))
        run = self.cloud.emulator_run_id_file.read_text()
        # The task's revision stands for all else: memory, secrets, addresses, a stack that was deleted and made again.
        task = self.outputs.worker.task_definition if self.outputs.worker else ""
        return f"{run}:{self.stack}:{task}:{digests}"

    def _passed(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        with contextlib.suppress(ValueError):  # cut short by a full disk: the test runs once more
            found: dict[str, Any] = json.loads(self._file.read_text())
            return found
        return {}
