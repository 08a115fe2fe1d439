"""The proof: a lab panel goes in at one end of what was deployed and comes out categorised at the other.

Everything in it is what the stack declared: the release's image within the host's memory, the declared queue, the
task definition's image within the task's memory and CPU, PostgreSQL.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from devcloud.console import Refusal, row, say, seconds, step
from devcloud.docker import Engine
from devcloud.workloads import API_PORT, Account

HOST_MEMORY_MIB = 2048
"""The memory of a t2.small, the API's host."""
PANEL = {
    "patient_reference": "proof",
    "tests": [
        {"name": "HbA1c", "value": 6.1, "unit": "%"},
        {"name": "LDL cholesterol", "value": 130, "unit": "mg/dL"},
        {"name": "TSH", "value": 2.4, "unit": "mIU/L"},
    ],
}
EXPECTED = {"HbA1c": "diabetes", "LDL cholesterol": "lipids", "TSH": "thyroid"}


class Proof:
    """The proof of one stack on one cloud."""

    def __init__(self, engine: Engine, stack: str, outputs: dict[str, Any]) -> None:
        self.engine = engine
        self.cloud = engine.cloud
        self.stack = stack
        self.outputs = outputs
        self.account = Account(self.cloud)
        self._file: Path = self.cloud.folder / "proofs.json"

    def give(self) -> None:
        """Give the proof, or name the one given for the same digests on the same life of this cloud."""
        given = self._given().get(self._key())
        if given:
            say(f"proof: given for these digests on {given['at']}, in {seconds(given['seconds'])}")
            return
        say("proof: a lab panel, from the API to the worker and back")
        started = time.monotonic()
        names = [f"{self.cloud.network}-{self.stack}-{what}" for what in ("migrate", "api", "self-test", "worker")]
        for name in names:
            self.engine.remove(name)
        try:
            self._run(*names)
        finally:
            for name in names:
                self.engine.remove(name)
        took = time.monotonic() - started
        proofs = self._given() | {
            self._key(): {
                "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "seconds": round(took, 1),
            }
        }
        self._file.write_text(json.dumps(proofs, indent=1, sort_keys=True) + "\n")
        row("proof", f"given in {seconds(took)}")

    def _run(self, migrate: str, api: str, self_test: str, worker: str) -> None:
        # The two tiers know nothing of each other, so each gets ready by itself.
        with ThreadPoolExecutor(max_workers=2) as pool:
            api_ready = pool.submit(self._start_api, migrate, api)
            worker_ready = pool.submit(self._self_test, self_test)
            client = api_ready.result()
            worker_ready.result()
        answer = client.post("/labs", json=PANEL)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise Refusal(f"The API refused the lab panel ({answer.status_code}): {answer.text[:300]}")
        panel = answer.json()["id"]
        queue = self.outputs["queueUrl"].rpartition("/")[2]
        row("queue", f"lab panel {panel} accepted; {self._visible()} message(s) in {queue}")
        with step("worker", "works the message off"):
            self.engine.run(self.account.task(self.outputs["taskDefinition"], worker), detach=True)
            result = self._wait_done(client, panel, worker)
        categories = {test["name"]: test["category"] for test in result["tests"]}
        row("api", f"GET /labs/{panel}: " + ", ".join(f"{name} -> {found}" for name, found in categories.items()))
        if categories != EXPECTED:
            raise Refusal(f"The worker put the panel's tests into {categories}; right would be {EXPECTED}.")
        with ThreadPoolExecutor(max_workers=2) as pool:
            for name, code in zip((worker, api), pool.map(self.engine.stop_container, (worker, api)), strict=True):
                if code != 0:
                    raise Refusal(f"{name} did not end cleanly on SIGTERM: exit code {code}.")

    def _start_api(self, migrate: str, api: str) -> httpx.Client:
        migration = self.account.api(self.outputs, "migrate", migrate, HOST_MEMORY_MIB)
        with step("api", "pulling the release by digest and migrating the database"):
            self.engine.pull(migration.image)
            self.engine.run(migration, detach=False)
        with step("api", f"/health of the API, within {HOST_MEMORY_MIB} MiB"):
            self.engine.run(self.account.api(self.outputs, "api", api, HOST_MEMORY_MIB), detach=True)
            address = f"http://127.0.0.1:{self.engine.published(api, API_PORT)}"
            client = httpx.Client(base_url=address, timeout=10, trust_env=False)
            self._wait_healthy(client, api)
        return client

    def _self_test(self, name: str) -> None:
        task = self.account.task(self.outputs["taskDefinition"], name, ["--self-test"])
        with step(
            "worker",
            f"pulling the task's image by digest; its self-test, within {task.cpus:g} vCPU and {task.memory_mib} MiB",
        ):
            self.engine.pull(task.image)
            self.engine.run(task, detach=False)

    def _wait_healthy(self, client: httpx.Client, container: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if client.get("/health").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise Refusal(f"The API did not answer /health within 60 s. It said: {self.engine.logs(container)}")

    def _wait_done(self, client: httpx.Client, panel: str, worker: str) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            found = client.get(f"/labs/{panel}").json()
            if found["status"] == "done":
                return found
            time.sleep(0.2)
        raise Refusal(f"The panel was not done within 120 s ({found}). The worker said: {self.engine.logs(worker)}")

    def _visible(self) -> int:
        attributes = self.account.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["queueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def _key(self) -> str:
        digests = self.outputs["digests"]
        life = self.cloud.incarnation_file.read_text()
        return f"{life}:{self.stack}:{digests['api']}:{digests['worker']}"

    def _given(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found
