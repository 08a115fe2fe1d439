"""The proof: a lab panel goes in at one end of what was deployed and comes out categorised at the other.

Everything in it is what the stack declared: the release's services within the host's memory, the declared queue, the
task definition's image within the task's memory and CPU, PostgreSQL. Where the release has an edge, everything goes
through it.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from devcloud.cloud.docker import Container, DockerEngine
from devcloud.util.console import UserError, row, say, seconds, step
from devcloud.util.files import replace_text
from devcloud.util.waiting import wait_until
from devcloud.verify.containers import EDGE, PORTS, Workloads

HOST_MEMORY_MIB = 2048
"""The memory of a t2.small, the API's host."""
MEMORY_MIB = {"auth": 512, "api": 768, "dashboard": 512, "caddy": 256}
"""How the services share it: together they have no more than the host has."""
MIGRATE = "migrate"
"""The one service that ends: with it, before anything that serves is started."""
READY_SECONDS = 60
DONE_SECONDS = 120
PANEL = {
    "patient_reference": "proof",
    "tests": [
        {"name": "HbA1c", "value": 6.1, "unit": "%"},
        {"name": "LDL cholesterol", "value": 130, "unit": "mg/dL"},
        {"name": "TSH", "value": 2.4, "unit": "mIU/L"},
    ],
}
EXPECTED = {"HbA1c": "diabetes", "LDL cholesterol": "lipids", "TSH": "thyroid"}


@dataclass(frozen=True)
class Way:
    """How a service is reached from this machine, and what it answers when it is alive."""

    service: str
    """Whose container publishes the port: the edge's, or the service's own."""
    prefix: str
    """What a path begins with there."""
    alive: str
    """A path that is answered without an account."""


def way_to(service: str, edge: bool) -> Way:
    """The way to a service: through the edge, where there is one, as a browser goes."""
    if service == "dashboard":
        # It serves below its own prefix, with and without an edge.
        return Way(EDGE if edge else service, "/dashboard", "")
    if edge and service != EDGE:
        return Way(EDGE, f"/{service}", "/health")
    return Way(service, "", "/health")


class SmokeTest:
    """The proof of one stack on one cloud."""

    def __init__(self, engine: DockerEngine, stack: str, outputs: dict[str, Any]) -> None:
        self.engine = engine
        self.cloud = engine.cloud
        self.stack = stack
        self.outputs = outputs
        self.workloads = Workloads(self.cloud)
        self._file: Path = self.cloud.folder / "proofs.json"

    def run(self) -> None:
        """Give the proof, or name the one given for the same digests and task on the same life of this cloud."""
        given = self._given().get(self._key())
        if given:
            say(f"proof: given for these digests on {given['at']}, in {seconds(given['seconds'])}")
            return
        release = self.workloads.release(self.outputs)
        through = " through the edge" if EDGE in release else ""
        say(f"proof: a lab panel, from the API to the worker and back{through}")
        started = time.monotonic()
        names = {name: f"{self.cloud.network}-{self.stack}-{name}" for name in (*release, "self-test", "worker")}
        for container in names.values():
            self.engine.remove(container)
        try:
            self._exercise(release, names)
        finally:
            for container in names.values():
                self.engine.remove(container)
        took = time.monotonic() - started
        proofs = self._given() | {
            self._key(): {"at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"), "seconds": round(took, 1)}
        }
        replace_text(self._file, json.dumps(proofs, indent=1, sort_keys=True) + "\n")
        row("proof", f"given in {seconds(took)}")

    def _exercise(self, release: dict[str, str], names: dict[str, str]) -> None:
        serving = {
            service: self.workloads.service(self.outputs, service, image, names, MEMORY_MIB[service])
            for service, image in release.items()
            if service != MIGRATE
        }
        # The two tiers know nothing of each other, so each gets ready by itself.
        with ThreadPoolExecutor(max_workers=8) as pool:
            host = pool.submit(self._start_host, pool, release, serving, names)
            worker = pool.submit(self._self_test, names["self-test"])
            clients = host.result()
            worker.result()
        token = self._sign_in(clients["auth"])
        api = clients["api"]
        if api.get("/labs").status_code != httpx.codes.UNAUTHORIZED:
            raise UserError("The API answers GET /labs to whoever has no token: it must be 401.")
        api.headers["Authorization"] = f"Bearer {token}"
        answer = api.post("/labs", json=PANEL)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise UserError(f"The API refused the lab panel ({answer.status_code}): {answer.text[:300]}")
        panel = answer.json()["id"]
        queue = self.outputs["queueUrl"].rpartition("/")[2]
        row("queue", f"lab panel {panel} accepted; {self._visible()} message(s) in {queue}")
        with step("worker", "works the message off"):
            self.engine.run(self.workloads.task(self.outputs["taskDefinition"], names["worker"]), detach=True)
            result = self._wait_done(api, panel, names["worker"])
        categories = {test["name"]: test["category"] for test in result["tests"]}
        row("api", f"GET /labs/{panel}: " + ", ".join(f"{name} -> {found}" for name, found in categories.items()))
        if categories != EXPECTED:
            raise UserError(f"The worker put the panel's tests into {categories}; right would be {EXPECTED}.")
        clients["auth"].post("/sign-out", headers=api.headers).raise_for_status()
        for client in clients.values():
            client.close()  # a connection that is kept open keeps a service from ending
        self._end([names["worker"], *(container.name for container in serving.values())])

    def _start_host(
        self, pool: ThreadPoolExecutor, release: dict[str, str], serving: dict[str, Container], names: dict[str, str]
    ) -> dict[str, httpx.Client]:
        """The release as its host would start it: the database first, then every service; a client of each."""
        with step("host", f"pulling the release ({', '.join(release)}) by digest and migrating the database"):
            # One image holds several services.
            for pulled in [pool.submit(self.engine.pull, image) for image in sorted(set(release.values()))]:
                pulled.result()
            migration = self.workloads.service(self.outputs, MIGRATE, release[MIGRATE], names, HOST_MEMORY_MIB)
            self.engine.run(migration, detach=False)
        together = sum(container.memory_mib or 0 for container in serving.values())
        with step("host", f"{', '.join(serving)} healthy, within {together} of {HOST_MEMORY_MIB} MiB"):
            starts: list[Future[str]] = [
                pool.submit(self.engine.run, container, detach=True) for container in serving.values()
            ]
            for start in starts:
                start.result()
            clients = dict(self._clients(serving))
            for service, client in clients.items():
                self._wait_alive(service, client, serving[service].name)
        return clients

    def _clients(self, serving: dict[str, Container]) -> Iterator[tuple[str, httpx.Client]]:
        for service in serving:
            way = way_to(service, EDGE in serving)
            port = self.engine.published(serving[way.service].name, PORTS[way.service])
            address = f"http://127.0.0.1:{port}{way.prefix}"
            yield service, httpx.Client(base_url=address, timeout=10, trust_env=False)

    def _wait_alive(self, service: str, client: httpx.Client, container: str) -> None:
        path = way_to(service, edge=False).alive
        said = "nothing"

        def answers() -> bool:
            nonlocal said
            with contextlib.suppress(httpx.HTTPError):
                answer = client.get(path)
                said = f"{answer.status_code}"
                # A redirect to a sign-in page is an answer. The edge's 502 is not: the service is not there yet.
                return answer.is_success or answer.is_redirect
            return False

        if not wait_until(answers, READY_SECONDS):
            raise UserError(
                f"{service} was not healthy within {READY_SECONDS} s ({client.base_url}{path} answered {said}). "
                f"It said: {self.engine.logs(container)}"
            )

    def _sign_in(self, auth: httpx.Client) -> str:
        """A token of an account that nobody else can use: its password is known to this call alone."""
        account = {"email": f"proof-{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(24)}
        for path, expected in (("/sign-up", httpx.codes.CREATED), ("/sign-in", httpx.codes.OK)):
            answer = auth.post(path, json=account)
            if answer.status_code != expected:
                # Only the reason: an answer of another kind might hold what was sent.
                reason = answer.json().get("detail", "") if "json" in answer.headers.get("Content-Type", "") else ""
                raise UserError(f"POST {path} answered {answer.status_code}, not {expected:d}: {str(reason)[:300]}")
        row("auth", f"{account['email']} signed up and in")
        token: str = answer.json()["token"]
        return token

    def _self_test(self, name: str) -> None:
        task = self.workloads.task(self.outputs["taskDefinition"], name, ["--self-test"])
        with step(
            "worker",
            f"pulling the task's image by digest; its self-test, within {task.cpus:g} vCPU and {task.memory_mib} MiB",
        ):
            self.engine.pull(task.image)
            self.engine.run(task, detach=False)

    def _wait_done(self, client: httpx.Client, panel: str, worker: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def done() -> bool:
            nonlocal found
            found = client.get(f"/labs/{panel}").json()
            return found.get("status") == "done"

        if not wait_until(done, DONE_SECONDS, pause=0.2):
            raise UserError(
                f"The panel was not done within {DONE_SECONDS} s (it is {found.get('status', found)}). "
                f"The worker said: {self.engine.logs(worker)}"
            )
        return found

    def _end(self, containers: list[str]) -> None:
        with ThreadPoolExecutor(max_workers=len(containers)) as pool:
            codes = pool.map(self.engine.stop_container, containers)
            for name, code in zip(containers, codes, strict=True):
                if code != 0:
                    raise UserError(f"{name} did not end cleanly on SIGTERM: exit code {code}.")

    def _visible(self) -> int:
        attributes = self.cloud.aws.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["queueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def _key(self) -> str:
        digests = ",".join(f"{image}={digest}" for image, digest in sorted(self.outputs["digests"].items()))
        life = self.cloud.emulator_run_id_file.read_text()
        # The task's revision stands for all else that it is about: memory, secrets, addresses, a stack that was deleted
        # and made again.
        return f"{life}:{self.stack}:{self.outputs['taskDefinition']}:{digests}"

    def _given(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        with contextlib.suppress(ValueError):  # cut short by a full disk: the proof is given once more
            found: dict[str, Any] = json.loads(self._file.read_text())
            return found
        return {}
