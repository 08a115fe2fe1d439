"""Measure what containers take and do: start to ready, memory, requests, jobs.

Each runs as the platform would run it, read-only and without capabilities, within the limits of scenarios.yaml; with
real PostgreSQL and Redis, and the emulator's queue. The monolith's one container has both roles, in the service's
limits; its worker alone, in the worker's, for the jobs.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bench import load, memory, workload
from bench.plan import MONOLITH, PLAN, Limits
from bench.roles import service_image, worker_image
from devcloud.cloud import databases
from devcloud.cloud.aws import REGION
from devcloud.cloud.docker import Container
from devcloud.cloud.product_environment import product_environment
from devcloud.cloud.services import Services
from devcloud.util.console import UserError
from devcloud.util.waiting import wait_until
from infra.product import product_of

SERVICE = PLAN.service
DATABASE = "bench"
ALL_ROLES = "all"
"""The monolith's role that has every other (rivals/monolith/start.sh)."""
READY_SECONDS = 180
READS = 10_000
"""As many answers as the memory bar asks for."""
READ_SECONDS, WRITE_SECONDS, MOST_LOADS = 10, 10, 12
SETTLE_SECONDS = 2.0
SENT_SECONDS = 120
SENDERS = 8
SERVING, WORKING, ONCE = "bench-serving", "bench-working", "bench-once"
"""The names of the containers."""


class Running:
    """The containers of one contender, by the references of its images."""

    def __init__(self, services: Services, contender: str, images: Mapping[str, str], scratch: Path) -> None:
        self.services = services
        self.engine = services.engine
        self.contender = contender
        self.images = images
        self.scratch = scratch
        self._token = secrets.token_urlsafe(32)
        # A new queue instead of an empty one: SQS purges a queue at most once a minute.
        self._queue = f"bench-jobs-{uuid4().hex[:12]}"

    def prepare(self) -> None:
        """Pull the images; make a migrated database with an account, and an empty queue."""
        self.remove()
        for reference in {self._image(service_image()), self._image(worker_image())}:
            self.engine.pull(reference)
        self.services.drop_database(DATABASE)
        self.services.create_database(DATABASE)
        self.services.cloud.aws.client("sqs").create_queue(
            QueueName=self._queue, Attributes={"VisibilityTimeout": "300"}
        )
        product = product_of()
        for name in product.start_order:
            described = product.services[name]
            if described.once and described.image:
                self.engine.run(self._container(ONCE, described.image, name), detach=False)
        self.services.query(DATABASE, workload.account(self._token))

    def remove(self) -> None:
        """Remove the containers of this bench, of an earlier run too."""
        for name in (SERVING, WORKING, ONCE):
            self.engine.remove(name)

    def start_service(self) -> dict[str, float]:
        """Start the service. Return how long it takes to be healthy, and its memory then."""
        with self.serving(ALL_ROLES) as (_, seconds):
            time.sleep(SETTLE_SECONDS)
            return {"seconds": seconds, "rss": self._resident(SERVING)}

    def start_worker(self) -> dict[str, float]:
        """Start the worker. Return how long it takes until it says that it is ready, and its memory then."""
        with self.working() as seconds:
            time.sleep(SETTLE_SECONDS)
            return {"seconds": seconds, "rss": self._resident(WORKING)}

    def read(self) -> dict[str, float]:
        """Read one panel until 10,000 requests were answered. Without a worker: a finished panel would be cached."""
        with self.serving() as (address, _):
            answer = self._client(address).post(workload.PATH, json=workload.panel(0))
            check_accepted([answer])
            script = load.script("GET", f"{workload.PATH}/{answer.json()['id']}", self._token)
            return self._loaded(address, script, READ_SECONDS, READS)

    def write(self) -> dict[str, float]:
        """Enter panels for some seconds, without a worker beside it."""
        with self.serving() as (address, _):
            script = load.script("POST", workload.PATH, self._token, workload.panel(0))
            return self._loaded(address, script, WRITE_SECONDS, 1)

    def jobs(self, count: int, within_seconds: float) -> dict[str, float]:
        """Enter panels while no worker runs, then let one do them; what is done in time counts."""
        with self.serving() as (address, _):
            client = self._client(address)
            with ThreadPoolExecutor(max_workers=SENDERS) as pool:
                enter = [pool.submit(client.post, workload.PATH, json=workload.panel(n)) for n in range(count)]
                check_accepted([answer.result() for answer in enter])
            # The service's outbox ends with the service.
            unsent = f"The service {SERVICE} did not send its jobs"
            self._wait(lambda: not int(self._ask(workload.UNSENT)), SERVING, unsent, SENT_SECONDS, pause=0.5)
        with self.working():
            wait_until(lambda: self._done() >= count, within_seconds, pause=1)
            peak = memory.peak_mib(self._processes(WORKING))
            return {"rate": self._rate(), "peak": peak, "done": float(self._done())}

    @contextmanager
    def serving(self, role: str = SERVICE) -> Iterator[tuple[str, float]]:
        """Run the service; yield its address, and the seconds from its start to its first good answer."""
        described = product_of().services[SERVICE]
        container = self._container(
            SERVING, service_image(), SERVICE, role, PLAN.service_limits, publish=described.port
        )
        with self._run(container):
            address = f"http://127.0.0.1:{self.engine.published(SERVING, described.port or 0)}"
            yield address, self._healthy(f"{address}{described.health}")

    @contextmanager
    def working(self) -> Iterator[float]:
        """Run the worker; yield the seconds from its start until it says that it is ready."""
        with self._run(self._container(WORKING, worker_image(), worker_image(), limits=PLAN.worker_limits)):
            yield self._ready()

    @contextmanager
    def _run(self, container: Container) -> Iterator[None]:
        self.engine.remove(container.name)
        self.engine.run(container, detach=True)
        try:
            yield
        finally:
            self.engine.remove(container.name)

    def _container(
        self,
        name: str,
        image: str,
        service: str,
        role: str = "",
        limits: Limits | None = None,
        publish: int | None = None,
    ) -> Container:
        """Return a container of an image; `role`, by default the service's name, tells the monolith what to be."""
        return Container(
            name,
            self._image(image),
            self._environment(service),
            [role or service] if self.contender == MONOLITH else [],
            memory_mib=limits.memory_mib if limits else None,
            cpus=limits.cpus if limits else None,
            publish=publish,
        )

    def _image(self, image: str) -> str:
        """Return the reference of an image: the monolith has one image for all."""
        return self.images[self.contender if self.contender == MONOLITH else image]

    def _environment(self, service: str) -> dict[str, str]:
        host = "host.docker.internal"
        user = databases.DATABASE_USER
        database_url = f"postgresql://{user}:{user}@{host}:{databases.POSTGRES_PORT}/{DATABASE}"
        return {
            **self.services.cloud.inside(),
            **self.services.cloud.credentials,
            **product_environment(product_of(), database_url, f"redis://{host}:{databases.REDIS_PORT}/1"),
            "SERVICE_TYPE": service,
            "PORT": str(product_of().services[SERVICE].port),
            "JOBS_QUEUE_URL": f"http://{host}:{self.services.cloud.ports.aws}/123456789012/{self._queue}",
            "AWS_REGION": REGION,
            "LOG_LEVEL": "INFO",
            "HOME": "/tmp",  # noqa: S108  inside the container, where nothing else can be written
        }

    def _client(self, address: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.Client(base_url=address, headers=headers, timeout=30, trust_env=False)

    def _loaded(self, address: str, script: str, seconds: int, least: int) -> dict[str, float]:
        """Warm up, then put load on until `least` requests were answered. Return the mean rate of all rounds."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        lua = self.scratch / "load.lua"
        lua.touch(mode=0o600)
        lua.write_text(script)
        load.run(address, lua, 2)
        loads: list[load.Load] = []
        while sum(one.requests for one in loads) < least and len(loads) < MOST_LOADS:
            loads.append(load.run(address, lua, seconds))
        lua.unlink()
        requests, failed = sum(one.requests for one in loads), sum(one.failed for one in loads)
        if failed:
            raise UserError(
                f"{failed} of {requests} requests failed under load; the service said: {self.engine.logs(SERVING, 3)}"
            )
        return {
            "rate": sum(one.rate for one in loads) / len(loads),
            "p99": max(one.p99_ms for one in loads),
            "requests": float(requests),
            "rss": self._resident(SERVING),
        }

    def _healthy(self, address: str) -> float:
        started = seconds_of(self._state(SERVING)["StartedAt"])
        with httpx.Client(timeout=2, trust_env=False) as client:

            def answers() -> bool:
                with suppress(httpx.HTTPError):
                    return client.get(address).status_code == httpx.codes.OK
                return False

            self._wait(answers, SERVING, f"{address} did not answer", READY_SECONDS, pause=0.02)
        return time.time() - started

    def _ready(self) -> float:
        started = seconds_of(self._state(WORKING)["StartedAt"])
        said: list[float] = []

        def is_ready() -> bool:
            said.extend(ready_at(self.engine.logs(WORKING, 200)))
            return bool(said)

        self._wait(is_ready, WORKING, "The worker was not ready", READY_SECONDS, pause=0.1)
        return said[0] - started

    def _wait(self, condition: Callable[[], bool], container: str, failure: str, limit: float, pause: float) -> None:
        if not wait_until(condition, limit, pause=pause):
            raise UserError(f"{failure} within {limit:.0f} s. It said: {self.engine.logs(container)}")

    def _state(self, container: str) -> Any:
        return self.engine.inspect("container", container)["State"]

    def _processes(self, container: str) -> list[int]:
        state = self._state(container)
        if not state["Running"]:
            raise UserError(f"{container} has ended ({state['ExitCode']}). It said: {self.engine.logs(container)}")
        return memory.processes(int(state["Pid"]))

    def _resident(self, container: str) -> float:
        return memory.resident_mib(self._processes(container))

    def _ask(self, sql: str) -> str:
        return self.services.query(DATABASE, sql).strip()

    def _done(self) -> int:
        return int(self._ask(f"SELECT count(*) {workload.FINISHED}"))

    def _rate(self) -> float:
        """Return the jobs a second between the first that was finished and the last."""
        span = "extract(epoch FROM max(finished_at) - min(finished_at))"
        count, seconds = self._ask(f"SELECT count(*), coalesce({span}, 0) {workload.FINISHED}").split("|")
        if int(count) < 2 or float(seconds) <= 0:
            raise UserError(f"The worker finished {count} job(s) in time. It said: {self.engine.logs(WORKING)}")
        return (int(count) - 1) / float(seconds)


def check_accepted(answers: list[httpx.Response]) -> None:
    """Raise UserError if a panel was not accepted."""
    refused = [answer for answer in answers if answer.status_code != httpx.codes.ACCEPTED]
    if refused:
        first = f"the first with {refused[0].status_code}: {refused[0].text[:200]}"
        raise UserError(f"The service {SERVICE} refused {len(refused)} of {len(answers)} panels, {first}")


def ready_at(logs: str) -> Iterator[float]:
    """Yield when a worker said that it is ready, in seconds since 1970, by its own log."""
    for text in logs.splitlines():
        with suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and line.get("message") == "ready":
                yield seconds_of(line["time"])


def seconds_of(time_text: str) -> float:
    """Return a time in ISO 8601 in seconds since 1970."""
    return datetime.fromisoformat(time_text).timestamp()
