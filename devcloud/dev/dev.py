"""`make dev`: the product without the cloud, in the foreground. Code changes restart the affected part.

The services and the worker of product.yaml run as processes of this machine, and the front end's development server
takes the place of the edge; real PostgreSQL and Redis; the queue from the emulator, since SQS is AWS's. The worker's
model is the image's own. Ctrl-C ends it all; the database keeps its content for the next time.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from devcloud.bootstrap import ROOT, cache_folder
from devcloud.cloud import databases
from devcloud.cloud.aws import REGION
from devcloud.cloud.cloud import STRIPPED_ENV_PREFIXES, Cloud
from devcloud.cloud.product_environment import product_environment
from devcloud.dev.foreground import Group, Process, clear_dead, interrupt_on_signals
from devcloud.images import model_export
from devcloud.pulumi.stack_config import LOCAL, committed_file
from devcloud.toolchain import some, versions
from devcloud.util.commands import invoke
from devcloud.util.console import MachineError, UserError, row, say, step
from devcloud.util.locks import only_one
from devcloud.util.processes import output, traced
from devcloud.util.sockets import check_ports, wait_for
from devcloud.util.waiting import wait_until
from infra import settings as settings_module
from infra.product import Product, Worker, product_of

CLOUD = "make-dev"
"""Its folder, ports and databases, apart from those of every cloud."""
DATABASE = "slipway"
QUEUE, DEAD_LETTERS = "slipway-dev-jobs", "slipway-dev-dead-letters"
VISIBILITY_SECONDS, MOST_RECEIVES = 300, 5
"""As the jobs' queue is declared by default (infra/settings/models.py)."""
HEALTHY_SECONDS = 60


@dataclass(frozen=True)
class Service:
    """A service of the host, as it runs here."""

    name: str
    once: bool
    port: int | None
    health: str
    """A path that it answers when it is well."""
    packages: tuple[str, ...]
    """The folders of app/ whose changes restart it."""
    route: str | None = None
    """Its path on the front end's server."""

    @property
    def address(self) -> str:
        """Its address on this machine."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class FrontEnd:
    """The front end, whose development server runs here in the place of the edge."""

    image: str
    folder: Path
    port: int

    @property
    def address(self) -> str:
        """Its address on this machine."""
        return f"http://127.0.0.1:{self.port}"


def services(product: Product) -> list[Service]:
    """Return the product's services that are Python code of app/, in the order in which they start.

    An edge that is no front end serves by itself.
    """
    described = [(name, product.services[name]) for name in product.start_order]
    front = front_end(product)
    return [
        Service(
            name,
            one.once,
            one.port,
            one.health,
            (*(one.packages or (name,)), *shared_packages(product)),
            one.route.path if one.route else None,
        )
        for name, one in described
        if one.image and not (one.edge and front)
    ]


def front_end(product: Product) -> FrontEnd | None:
    """Return the front end: the folder with a package.json that the edge's image is built from."""
    edge = product.services[product.edge] if product.edge else None
    if edge is None or edge.image is None or edge.port is None:
        return None
    files = [Path(pattern) for pattern in product.images[edge.image].context]
    folder = next((ROOT / file.parent for file in files if file.name == "package.json"), None)
    return FrontEnd(edge.image, folder, edge.port) if folder else None


def shared_packages(product: Product) -> tuple[str, ...]:
    """Return the folders of app/ that all services have."""
    folders = (re.fullmatch(r"app/(\w+)/\*\*", pattern) for pattern in product.shared_code)
    return tuple(folder[1] for folder in folders if folder)


def routes(product: Product) -> str:
    """Return the edge's routes as the front end's development server takes them: JSON."""
    return json.dumps(
        [
            {"path": one.route.path, "target": f"http://127.0.0.1:{one.port}", "strip": one.route.strip}
            for one in product.services.values()
            if one.route
        ]
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fresh", is_flag=True, help="Begin with an empty database.")
def dev(fresh: bool) -> int:
    """Run the product without the cloud, with live reload, until Ctrl-C or until a part ends by itself."""
    interrupt_on_signals()
    try:
        return Dev(Cloud(CLOUD, cache_folder()), product_of()).run(fresh=fresh)
    except KeyboardInterrupt:
        say("\nstopped")
        return 0


class Dev:
    """One run of `make dev`."""

    def __init__(self, cloud: Cloud, product: Product) -> None:
        self.cloud = cloud
        self.product = product
        self.services = services(product)
        self.front_end = front_end(product)
        self.group = Group(cloud.folder / "processes.json")

    def run(self, *, fresh: bool) -> int:
        """Start everything, then wait."""
        self.cloud.folder.mkdir(parents=True, exist_ok=True)
        with only_one(self.cloud.folder / "lock", "make dev"):
            left = clear_dead(self.cloud.folder / "processes.json")
            if left:
                row("dev", f"ended {left} process(es) of a run that was killed")
            ports = [service.port for service in (*self.services, self.front_end) if service and service.port]
            check_ports(ports, "`make dev`", "end what holds it")
            if self.front_end:
                check_node()
            tools = some(self.cloud.cache, lambda _: None, ("postgresql", "redis"))
            worker = self._worker_command(self.product.worker) if self.product.worker else []
            if self.front_end:
                install_packages(self.front_end)
            try:
                self._start_infrastructure(tools, fresh)
                self._start_product(worker)
                self._show()
                return self._wait()
            finally:
                say("\nending ...")
                self.group.stop()

    def _worker_command(self, worker: Worker) -> list[str]:
        """Return the worker's command, with its packages and its model at hand."""
        python = worker_environment(self.cloud.cache, worker.image)
        command = [str(python), "-m", f"app.{worker.packages[0]}"]
        if self.product.images[worker.image].extra == "models":
            settings = settings_module.load_file(committed_file(LOCAL), LOCAL, ROOT)
            command += ["--model", str(model_export.ensure(self.cloud, settings))]
        return reloading(command, (*worker.packages, *shared_packages(self.product)))

    def _start_infrastructure(self, tools: Mapping[str, Path], fresh: bool) -> None:
        """Start PostgreSQL, Redis and the queue, and migrate the database."""
        folder, logs, address = self.cloud.folder, self.cloud.logs, self.cloud.ports.databases
        logs.mkdir(parents=True, exist_ok=True)
        (folder / "redis").mkdir(exist_ok=True)
        programs = tools["postgres"].parent
        data = folder / "postgres"
        databases.initialise(programs, data)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        emulator = [
            *(sys.executable, "-m", "devcloud.emulator", "--listen", f"127.0.0.1:{self.cloud.ports.aws}"),
            *("--operator", str(self.cloud.operator_file)),
        ]
        for process in (
            Process(
                "postgres",
                databases.postgres(programs, data, [address]),
                environment,
                log=logs / "postgres.log",
                stop_signal=databases.STOP_SIGNAL,
            ),
            Process(
                "redis",
                databases.redis(tools["redis-server"], folder / "redis", [address]),
                environment,
                log=logs / "redis.log",
            ),
            Process("queue", emulator, environment, log=logs / "queue.log"),
        ):
            self.group.start(process)
        with step("services", "PostgreSQL, Redis, the queue"):
            wait_for((address, databases.POSTGRES_PORT), 30, "PostgreSQL", logs / "postgres.log")
            wait_for((address, databases.REDIS_PORT), 30, "Redis", logs / "redis.log")
            wait_for(("127.0.0.1", self.cloud.ports.aws), 60, "the queue's emulator", logs / "queue.log")
            self._make_queue()
            if fresh:
                databases.drop(programs, address, DATABASE)
            databases.create(programs, address, DATABASE)
        for service in self.services:
            if service.once:
                with step(service.name, "running once, before the services"):
                    output([sys.executable, "-m", "app"], env=self._environment(service.name), cwd=ROOT)

    def _start_product(self, worker: Sequence[str]) -> None:
        """Start the services, the worker and the front end; wait until they answer."""
        serving = [service for service in self.services if not service.once]
        for service in serving:
            command = reloading([sys.executable, "-m", "app"], service.packages)
            environment = self._environment(service.name) | {"PORT": str(service.port)}
            self.group.start(Process(service.name, command, environment, ROOT))
        if self.product.worker:
            name = self.product.worker.image
            self.group.start(Process(name, worker, self._environment(name), ROOT))
        if front := self.front_end:
            vite = [str(front.folder / "node_modules" / ".bin" / "vite"), "--clearScreen", "false"]
            environment = self._environment(front.image) | {"ROUTES": routes(self.product)}
            self.group.start(Process(front.image, [*vite, "--port", str(front.port)], environment, front.folder))
        for service in serving:
            self._wait_healthy(service.name, f"{service.address}{service.health}")
        if front:
            self._wait_healthy(front.image, f"{front.address}/")

    def _environment(self, service: str) -> dict[str, str]:
        """Return the environment of a part: what the cloud would give it, and where the emulator is."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(STRIPPED_ENV_PREFIXES)}
        return {**kept, **environment(self.cloud, self.product, os.environ), "SERVICE_TYPE": service}

    def _make_queue(self) -> None:
        sqs = self.cloud.aws.client("sqs")
        dead = sqs.create_queue(QueueName=DEAD_LETTERS)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_RECEIVES})
        sqs.create_queue(
            QueueName=QUEUE, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive}
        )

    def _wait_healthy(self, name: str, address: str) -> None:
        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.get(address, timeout=2, trust_env=False)
                if answer.is_success or answer.is_redirect:
                    return True
            if dead := self.group.dead():
                raise UserError(
                    f"{dead[0]} has ended (exit {dead[1]}); what it said is above, or in {self.cloud.logs}."
                )
            return False

        if not wait_until(answers, HEALTHY_SECONDS):
            raise UserError(f"{name} did not answer at {address} within {HEALTHY_SECONDS} s; what it said is above.")

    def _show(self) -> None:
        """Print the addresses, and run the product's own demo, which prints its accounts."""
        serving = [service for service in self.services if service.port]
        front = self.front_end or serving[0]
        say(f"\nThe product is at {front.address}/")
        for service in serving:
            routed = f"{front.address}{service.route}, and by itself " if self.front_end and service.route else ""
            row(service.name, f"{routed}{service.address}")
        if self.product.demo:
            call = [sys.executable, "-m", self.product.demo, front.address, str(self.cloud.folder)]
            done = subprocess.run(traced(call), env=self._environment(self.product.demo), cwd=ROOT, check=False)
            if done.returncode != 0:
                raise UserError(f"`python -m {self.product.demo}` failed; the reason is above.")
        say("Code changes restart the affected service. Ctrl-C ends everything.\n")

    def _wait(self) -> int:
        """Wait until Ctrl-C, or until a part ends by itself."""
        wait_until(self.group.dead, pause=0.5)
        if dead := self.group.dead():
            say(f"{dead[0]} has ended (exit {dead[1]}); its output is above, or in {self.cloud.logs}")
        return 1


def environment(cloud: Cloud, product: Product, shell: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the product's parts on this machine; API keys come from the person's shell."""
    address, user = cloud.ports.databases, databases.DATABASE_USER
    return {
        **product_environment(
            product,
            f"postgresql://{user}:{user}@{address}:{databases.POSTGRES_PORT}/{DATABASE}",
            f"redis://{address}:{databases.REDIS_PORT}/0",
            shell,
        ),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "JOBS_QUEUE_URL": f"{cloud.endpoint}/123456789012/{QUEUE}",
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_REGION": REGION,
        **cloud.credentials,
        "AWS_EC2_METADATA_DISABLED": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "LOG_LEVEL": shell.get("LOG_LEVEL", "").strip() or "INFO",
    }


def reloading(command: Sequence[str], packages: Sequence[str]) -> list[str]:
    """Return a command that restarts another one whenever a file of these packages of app/ changes."""
    watched = [str(ROOT / "app" / package) for package in packages if (ROOT / "app" / package).is_dir()]
    return [sys.executable, "-m", "devcloud.dev.reload", *watched, "--", *command]


def check_node() -> None:
    """Raise MachineError if there is no Node that the front end's tools run on."""
    wanted = ".".join(map(str, versions.NODE_OLDEST))
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise MachineError(f"{' and '.join(missing)} is not on this machine: install Node {wanted} or newer, with npm.")
    found = output(["node", "--version"]).strip()
    numbers = re.match(r"v(\d+)\.(\d+)", found)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < versions.NODE_OLDEST:
        raise MachineError(f"Node is {found} here, and the front end's tools need {wanted} or newer: install one.")


def install_packages(front: FrontEnd) -> None:
    """Install the front end's locked packages, unless they are those of the lock."""
    lock, stamp = front.folder / "package-lock.json", front.folder / "node_modules" / ".slipway"
    if not lock.exists():
        raise UserError(f"{lock} is missing: the front end is not in this checkout.")
    locked = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == locked:
        return
    with step(front.image, "installing the front end's packages"):
        output(["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=front.folder, timeout=600)
    stamp.write_text(locked)


def worker_environment(cache: Path, image: str) -> Path:
    """Return a Python with the packages of the worker's image, and nothing else; made if it is missing."""
    lock = ROOT / "images" / image / "requirements.lock"
    name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = cache / "python" / f"{image}-{name}"
    python = venv / "bin" / "python"
    if not (venv / ".complete").exists():
        uv = str(Path(sys.executable).parent / "uv")
        with step(image, "installing the worker's locked packages"):
            shutil.rmtree(venv, ignore_errors=True)
            settings = {**os.environ, "UV_CACHE_DIR": str(cache / "uv")}
            output([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], env=settings)
            # As the image does: what the lock leaves out on purpose stays out.
            install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", str(python)]
            output([*install, "-r", str(lock)], env=settings, timeout=600)
        (venv / ".complete").touch()
    return python


if __name__ == "__main__":
    sys.exit(invoke(dev, "make dev"))
