"""What containers take and do: start to ready, memory, requests, jobs.

Each runs as the platform would run it, read-only and without capabilities: the API within 1 CPU and 2 GB, the
worker within 0.5 CPU and 3 GB; with real PostgreSQL and Redis, and the emulator's queue. The monolith's one container
has both roles, in the API's limits; its worker alone, in the worker's, for the jobs.
"""

import hashlib
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

from bench import load, memory
from bench.plan import MONOLITH
from devcloud.cloud.aws import REGION
from devcloud.cloud.databases import DATABASE_USER, POSTGRES_PORT
from devcloud.cloud.docker import Container
from devcloud.cloud.services import Services
from devcloud.util.console import UserError
from devcloud.util.waiting import wait_until

DATABASE = "bench"
QUEUE = "bench-jobs"
API_PORT = 8000
API_MEMORY_MIB, API_CPUS = 2048, 1.0
WORKER_MEMORY_MIB, WORKER_CPUS = 3072, 0.5
READY_SECONDS = 180
READS = 10_000
"""As many answers as the memory bar asks for."""
READ_SECONDS, WRITE_SECONDS, MOST_LOADS = 10, 10, 12
SETTLE_SECONDS = 2.0
SENT_SECONDS = 120
SENDERS = 8
NAMES = (
    *("HbA1c", "LDL cholesterol", "TSH", "serum creatinine", "ALT (SGPT)", "platelet count", "ferritin", "troponin I"),
    *("fasting glucose", "HDL-C", "free T4", "eGFR", "AST", "hemoglobin", "transferrin saturation", "NT-proBNP"),
    *("triglycerides", "urea nitrogen", "bilirubin, total", "white blood cells", "vitamin D 25-OH", "CRP", "INR"),
)
TESTS = 8
"""Of a panel."""


def panel(number: int) -> dict[str, Any]:
    """A lab panel of 8 tests, whose names differ from the panel's before."""
    names = [NAMES[(number + place * 3) % len(NAMES)] for place in range(TESTS)]
    tests = [{"name": name, "value": 1.0 + number % 90, "unit": "mg/dL"} for name in names]
    return {"patient_reference": f"bench-{number}", "tests": tests}


class Running:
    """The containers of one contender, by the references of its images."""

    def __init__(self, services: Services, contender: str, images: Mapping[str, str], scratch: Path) -> None:
        self.services = services
        self.engine = services.engine
        self.contender = contender
        self.images = images
        self.scratch = scratch
        self._token = ""
        # A queue of its own, in place of one that is purged: SQS purges one but once a minute.
        self._queue = f"{QUEUE}-{uuid4().hex[:12]}"
        self._user = uuid4()

    def prepare(self) -> None:
        """Have the images pulled, an empty database of the API's schema, an account and an empty queue."""
        self.remove()
        for image in {self.image("api"), self.image("worker")}:
            self.engine.pull(image)
        self.services.drop_database(DATABASE)
        self.services.create_database(DATABASE)
        self.services.cloud.aws.client("sqs").create_queue(
            QueueName=self._queue, Attributes={"VisibilityTimeout": "300"}
        )
        migrate = Container("bench-migrate", self.image("api"), self._environment("migrate"), self._role("migrate"))
        self.engine.run(migrate, detach=False)
        self._make_account()

    def image(self, tier: str) -> str:
        """The image that runs the API's tier or the worker's."""
        return self.images[MONOLITH if self.contender == MONOLITH else tier]

    def remove(self) -> None:
        """Remove the containers of this bench, of an earlier run too."""
        for name in ("bench-migrate", "bench-api", "bench-worker"):
            self.engine.remove(name)

    def start_api(self) -> dict[str, float]:
        """Start the API; how long until it is healthy, and what it holds then."""
        with self.api() as (_, seconds):
            time.sleep(SETTLE_SECONDS)
            return {"seconds": seconds, "rss": self._resident("bench-api")}

    def start_worker(self) -> dict[str, float]:
        """Start the worker; how long until it says that it is ready, and what it holds then."""
        with self.worker() as seconds:
            time.sleep(SETTLE_SECONDS)
            return {"seconds": seconds, "rss": self._resident("bench-worker")}

    def read(self) -> dict[str, float]:
        """Read one panel until 10,000 requests were answered. With no worker: one that is done comes from the cache."""
        with self.api(role="api") as (address, _):
            made = self._client(address).post("/labs", json=panel(0))
            if made.status_code != httpx.codes.ACCEPTED:
                raise UserError(f"The API refused a panel ({made.status_code}): {made.text[:200]}")
            script = load.script("GET", f"/labs/{made.json()['id']}", self._token)
            return self._loaded(address, script, READ_SECONDS, READS)

    def write(self) -> dict[str, float]:
        """Enter panels for some seconds, with no worker beside it."""
        with self.api(role="api") as (address, _):
            script = load.script("POST", "/labs", self._token, panel(0))
            return self._loaded(address, script, WRITE_SECONDS, 1)

    def jobs(self, count: int, most_seconds: float) -> dict[str, float]:
        """Enter panels with no worker running, then let one work them off; what is done in time counts."""
        with self.api(role="api") as (address, _):
            client = self._client(address)
            with ThreadPoolExecutor(max_workers=SENDERS) as pool:
                answers = list(pool.map(lambda number: client.post("/labs", json=panel(number)), range(count)))
            refused = [answer for answer in answers if answer.status_code != httpx.codes.ACCEPTED]
            if refused:
                raise UserError(f"The API refused {len(refused)} of {count} panels: {refused[0].text[:200]}")
            self._wait_until_sent()
        with self.worker():
            wait_until(lambda: self._done() >= count, most_seconds, pause=1)
            peak = memory.peak_mib(self._processes("bench-worker"))
            return {"rate": self._rate(), "peak": peak, "done": float(self._done())}

    @contextmanager
    def api(self, role: str = "all") -> Iterator[tuple[str, float]]:
        """The API running: its address, and the seconds from its start to its first good answer."""
        command = self._role(role)
        container = Container(
            "bench-api",
            self.image("api"),
            self._environment("api"),
            command,
            memory_mib=API_MEMORY_MIB,
            cpus=API_CPUS,
            publish=API_PORT,
        )
        with self._run(container):
            address = f"http://127.0.0.1:{self.engine.published(container.name, API_PORT)}"
            yield address, self._healthy(address, container.name)

    @contextmanager
    def worker(self) -> Iterator[float]:
        """The worker running: the seconds from its start to its word that it is ready."""
        container = Container(
            "bench-worker",
            self.image("worker"),
            self._environment("worker"),
            self._role("worker"),
            memory_mib=WORKER_MEMORY_MIB,
            cpus=WORKER_CPUS,
        )
        with self._run(container):
            yield self._ready(container.name)

    @contextmanager
    def _run(self, container: Container) -> Iterator[None]:
        self.engine.remove(container.name)
        self.engine.run(container, detach=True)
        try:
            yield
        finally:
            self.engine.remove(container.name)

    def _role(self, role: str) -> list[str]:
        """What the monolith's entry is told to be; the others have an image for each role."""
        return [role] if self.contender == MONOLITH else []

    def _environment(self, service: str) -> dict[str, str]:
        host = "host.docker.internal"
        return {
            **self.services.cloud.inside(),
            "SERVICE_TYPE": service,
            "PORT": str(API_PORT),
            "DATABASE_URL": f"postgresql://{DATABASE_USER}:{DATABASE_USER}@{host}:{POSTGRES_PORT}/{DATABASE}",
            "REDIS_URL": f"redis://{host}:6379/1",
            "JOBS_QUEUE_URL": f"http://{host}:{self.services.cloud.ports.aws}/123456789012/{self._queue}",
            "AWS_REGION": REGION,
            "OPENAI_API_KEY": "local-dummy-key",
            "OPENAI_MODEL": "gpt-4o-mini",
            "LOG_LEVEL": "INFO",
            "HOME": "/tmp",  # noqa: S108  inside the container, where nothing else can be written
        }

    def _client(self, address: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.Client(base_url=address, headers=headers, timeout=30, trust_env=False)

    def _make_account(self) -> None:
        """An account with a session, as the auth service would leave them: the token itself is kept nowhere."""
        self._token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(self._token.encode()).hexdigest()
        user = str(self._user)
        self.services.query(
            DATABASE,
            f"INSERT INTO users (id, email, password_hash) VALUES ('{user}', 'bench@example.com', '-');"  # noqa: S608
            "INSERT INTO sessions (token_sha256, user_id, expires_at) "
            f"VALUES (decode('{digest}', 'hex'), '{user}', now() + interval '1 day')",
        )

    def _loaded(self, address: str, script: str, seconds: int, least: int) -> dict[str, float]:
        """Warm up, put load on until `least` requests were answered, and say the median rate of all rounds."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        lua = self.scratch / "load.lua"
        lua.touch(mode=0o600)
        lua.write_text(script)
        load.run(address, lua, 2)
        loads: list[load.Load] = []
        while sum(one.requests for one in loads) < least and len(loads) < MOST_LOADS:
            loads.append(load.run(address, lua, seconds))
        lua.unlink()
        failed = sum(one.failed for one in loads)
        if failed:
            raise UserError(
                f"{failed} of {sum(one.requests for one in loads)} requests failed under load; the service said: "
                f"{self.engine.logs('bench-api', 3)}"
            )
        return {
            "rate": sum(one.rate for one in loads) / len(loads),
            "p99": max(one.p99_ms for one in loads),
            "requests": float(sum(one.requests for one in loads)),
            "rss": self._resident("bench-api"),
        }

    def _healthy(self, address: str, container: str) -> float:
        started = self._started(container)
        with httpx.Client(base_url=address, timeout=2, trust_env=False) as client:

            def answers() -> bool:
                with suppress(httpx.HTTPError):
                    return client.get("/health").status_code == httpx.codes.OK
                return False

            self._wait(answers, 0.02, READY_SECONDS, f"{container} was not healthy", container)
        return time.time() - started

    def _ready(self, container: str) -> float:
        started = self._started(container)
        ready: float | None = None

        def is_ready() -> bool:
            nonlocal ready
            ready = ready_at(self.engine.logs(container, 200))
            return ready is not None

        self._wait(is_ready, 0.1, READY_SECONDS, f"{container} was not ready", container)
        return (ready or 0) - started

    def _wait(self, condition: Callable[[], bool], pause: float, limit: float, failure: str, container: str) -> None:
        if not wait_until(condition, limit, pause=pause):
            raise UserError(f"{failure} within {limit:.0f} s. It said: {self.engine.logs(container)}")

    def _started(self, container: str) -> float:
        state: Any = self.engine.inspect("container", container)["State"]
        return seconds_of(state["StartedAt"])

    def _processes(self, container: str) -> list[int]:
        state: Any = self.engine.inspect("container", container)["State"]
        if not state["Running"]:
            raise UserError(f"{container} has ended ({state['ExitCode']}). It said: {self.engine.logs(container)}")
        return memory.processes(int(state["Pid"]))

    def _resident(self, container: str) -> float:
        return memory.resident_mib(self._processes(container))

    def _wait_until_sent(self) -> None:
        """Wait until the API's outbox has given every job to the queue: it ends with the API."""
        unsent = "SELECT count(*) FROM jobs WHERE sent_at IS NULL"
        self._wait(
            lambda: not int(self.services.query(DATABASE, unsent)),
            *(0.5, SENT_SECONDS, "The API did not send its jobs", "bench-api"),
        )

    def _done(self) -> int:
        return int(self.services.query(DATABASE, f"SELECT count(*) {FINISHED}"))

    def _rate(self) -> float:
        """Jobs a second between the first that was finished and the last."""
        span = "extract(epoch FROM max(finished_at) - min(finished_at))"
        found = self.services.query(DATABASE, f"SELECT count(*), coalesce({span}, 0) {FINISHED}")
        count, seconds = found.strip().split("|")
        if int(count) < 2 or float(seconds) <= 0:
            raise UserError(f"The worker finished {count} job(s) in time. It said: {self.engine.logs('bench-worker')}")
        return (int(count) - 1) / float(seconds)


FINISHED = "FROM jobs WHERE kind = 'categorise' AND status = 'done'"


def ready_at(logs: str) -> float | None:
    """When a worker said that it is ready, in seconds since 1970, by its own log; None where it did not yet."""
    for text in logs.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("message") == "ready":
            return seconds_of(line["time"])
    return None


def seconds_of(time_text: str) -> float:
    """A time in ISO 8601, with up to nine digits of a second as Docker writes them, in seconds since 1970."""
    head, dot, rest = time_text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = "".join(character for character in rest.partition("+")[0].partition("-")[0])
        head += f".{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    return datetime.fromisoformat(head).timestamp()
