"""Let the product's own smoke test try what a stack deployed, through the front door.

The host serves by itself. Beside it runs a worker: the task definition's image within the task's memory and CPU. What
the product is for, only its own smoke test knows: `smoke_test` in product.yaml.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devcloud.bootstrap import ROOT
from devcloud.cloud.docker import DockerEngine
from devcloud.toolchain import host_image
from devcloud.util.console import UserError, row, say, seconds, step
from devcloud.util.files import replace_text
from devcloud.util.locks import locked
from devcloud.util.processes import traced
from devcloud.verify.tasks import container_of, groups_of, network
from infra.outputs import StackOutputs, WorkerOutput

SMOKE_SECONDS = 180


class SmokeTest:
    def __init__(self, engine: DockerEngine, stack: str, outputs: StackOutputs) -> None:
        self.engine = engine
        self.cloud = engine.cloud
        self.stack = stack
        self.outputs = outputs
        self._file: Path = self.cloud.folder / "proofs.json"

    def run(self) -> None:
        """Run it, or name the run that passed for the same digests and task on the same run of this cloud.

        One at a time: the workers of two would take each other's jobs.
        """
        with locked(self._file.with_suffix(".lock"), lambda: say("proof: waiting for the smoke test of another `up`")):
            self._run()

    def _run(self) -> None:
        passed = self._passed().get(self._key())
        if passed:
            say(f"proof: given for these digests on {passed['at']}, in {seconds(passed['seconds'])}")
            return
        say("proof: the product as a person uses it, at the host's address")
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
        """Run the worker beside the host, which serves already, and yield the address of the front door."""
        prefix = f"{self.cloud.network}-{label or self.stack}"
        names = {name: f"{prefix}-{name}" for name in ("self-test", "tasks", "network")}
        self._remove(names)
        try:
            if self.outputs.worker:
                self._start_worker(self.outputs.worker, names)
            yield self.outputs.api_url
            if self.outputs.worker:
                self._end(names["tasks"])
        finally:
            self._remove(names)

    def _remove(self, names: Mapping[str, str]) -> None:
        for container in names.values():
            self.engine.remove(container)

    def _start_worker(self, worker: WorkerOutput, names: Mapping[str, str]) -> None:
        """Let the task's image test itself, then start the task."""
        engine, cloud = self.engine, self.cloud
        task = container_of(cloud, worker.task_definition, names["self-test"], worker.self_test)
        limits = f"within {task.cpus:g} vCPU and {task.memory_mib} MiB"
        with step("tasks", f"pulling the task's image by digest; its self-test, {limits}"):
            engine.pull(task.image)
            if worker.self_test:
                engine.run(task, detach=False)
            image = host_image.of(cloud.cache).name
            host = engine.address(f"{cloud.network}-{self.outputs.api_instance_id}")
            groups = groups_of(cloud, worker.cluster, worker.service)
            engine.run(network(image, names["network"], host, self.outputs.database_host, groups), detach=True)
            tasks = container_of(cloud, worker.task_definition, names["tasks"], network_of=names["network"])
            engine.run(tasks, detach=True)

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

    def _end(self, container: str) -> None:
        code = self.engine.stop_container(container)
        if code != 0:
            raise UserError(f"{container} did not end cleanly on SIGTERM: exit code {code}.")

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
