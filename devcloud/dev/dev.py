"""`make dev`: the product without the cloud, in the foreground. Code changes restart the affected part.

API, auth, dashboard and worker as processes of this machine, the front end by its own development server; real
PostgreSQL and Redis; the queue from the emulator, since SQS is AWS's. The worker's model is the image's own. Ctrl-C
ends it all; what the database holds stays for the next time.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from devcloud.bootstrap import ROOT, cache_folder
from devcloud.cloud import databases
from devcloud.cloud.aws import CREDENTIALS, REGION
from devcloud.cloud.cloud import STRIPPED_ENV_PREFIXES, Cloud
from devcloud.dev.foreground import Group, Process, clear_dead, interrupt_on_signals
from devcloud.images import model_export
from devcloud.pulumi.stack_config import LOCAL, committed_file
from devcloud.toolchain import some, versions
from devcloud.util.console import MachineError, UserError, row, say, step
from devcloud.util.files import replace_text
from devcloud.util.locks import only_one
from devcloud.util.processes import output
from devcloud.util.sockets import check_ports, wait_for
from devcloud.util.waiting import wait_until
from infra import settings as settings_module
from infra.lib.errors import InputError
from infra.product import product_of

CLOUD = "make-dev"
"""Its folder, ports and databases, apart from those of every cloud."""
DATABASE = "slipway"
QUEUE, DEAD_LETTERS = "slipway-dev-jobs", "slipway-dev-dead-letters"
VISIBILITY_SECONDS, MOST_RECEIVES = 300, 5
"""As the jobs' queue is declared by default (infra/settings/models.py)."""
DUMMY_KEY = "dev-dummy-key"
WEB_PORT = 8080
HEALTHY_SECONDS = 60
WEB = ROOT / "app" / "web"
SHARED_PACKAGE = "common"


@dataclass(frozen=True)
class Service:
    """A service of the host, as it runs here."""

    name: str
    once: bool
    port: int | None
    health: str
    """A path that it answers when it is well."""
    code: tuple[str, ...]
    """The folders of app/ whose changes restart it."""


def services() -> tuple[Service, ...]:
    """Return the product's services that are Python code of app/, in the order in which they start."""
    described = product_of()
    return tuple(
        Service(name, one.once, one.port, one.health, (*(one.packages or (name,)), SHARED_PACKAGE))
        for name in described.start_order
        if (one := described.services[name]).image and not one.edge
    )


def port_of(name: str) -> int | None:
    return product_of().services[name].port


def routes() -> str:
    """Return the edge's routes as the front end's development server takes them: JSON."""
    return json.dumps(
        [
            {"path": one.route.path, "target": f"http://127.0.0.1:{one.port}", "strip": one.route.strip}
            for one in product_of().services.values()
            if one.route
        ]
    )


@dataclass(frozen=True)
class DemoUser:
    """An account to try the product with."""

    email: str
    role: str
    password: str


def main() -> int:
    """Run until Ctrl-C, or until a part ends by itself (then 1)."""
    parser = argparse.ArgumentParser(prog="make dev", description="The product without the cloud, with live reload.")
    parser.add_argument("--fresh", action="store_true", help="begin with an empty database")
    asked = parser.parse_args()
    interrupt_on_signals()
    try:
        return Dev(Cloud(CLOUD, cache_folder())).run(fresh=asked.fresh)
    except InputError as problem:
        say(f"\n{problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        say("\nstopped")
        return 0


class Dev:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.group = Group(cloud.folder / "processes.json")

    def run(self, *, fresh: bool) -> int:
        """Start everything, then wait."""
        self.cloud.folder.mkdir(parents=True, exist_ok=True)
        with only_one(self.cloud.folder / "lock", "make dev"):
            left = clear_dead(self.cloud.folder / "processes.json")
            if left:
                row("dev", f"ended {left} process(es) of a run that was killed")
            check_ports(
                [*(service.port for service in services() if service.port), WEB_PORT], "`make dev`", "end what holds it"
            )
            check_node()
            tools = some(self.cloud.cache, lambda _: None, ("postgresql", "redis"))
            model = model_export.ensure(self.cloud, settings_module.load_file(committed_file(LOCAL), LOCAL, ROOT))
            worker = worker_environment(self.cloud.cache)
            install_web(WEB)
            try:
                self._start_infrastructure(tools, fresh)
                self._start_product(model, worker)
                accounts = self._accounts()
                show(accounts)
                return self._wait()
            finally:
                say("\nending ...")
                self.group.stop()

    def _start_infrastructure(self, tools: Mapping[str, Path], fresh: bool) -> None:
        """PostgreSQL, Redis and the queue; a migrated database."""
        folder, logs, address = self.cloud.folder, self.cloud.logs, self.cloud.ports.databases
        logs.mkdir(parents=True, exist_ok=True)
        (folder / "redis").mkdir(exist_ok=True)
        programs = tools["postgres"].parent
        data = folder / "postgres"
        databases.initialise(programs, data)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        emulator = [sys.executable, "-m", "devcloud.emulator", "--listen", f"127.0.0.1:{self.cloud.ports.aws}"]
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
        for service in services():
            if service.once:
                with step(service.name, "running once, before the services"):
                    output([sys.executable, "-m", "app"], env=self._environment(service.name), cwd=ROOT)

    def _start_product(self, model: Path, worker: Path) -> None:
        """The services, the worker and the front end; waits until the services answer."""
        serving = [service for service in services() if not service.once]
        for service in serving:
            command = reloading([sys.executable, "-m", "app"], service.code)
            environment = self._environment(service.name) | {"PORT": str(service.port)}
            self.group.start(Process(service.name, command, environment, ROOT))
        command = reloading([str(worker), "-m", "app.worker", "--model", str(model)], ("worker", "common"))
        self.group.start(Process("worker", command, self._environment("worker"), ROOT))
        vite = [str(WEB / "node_modules" / ".bin" / "vite"), "--clearScreen", "false"]
        self.group.start(Process("web", vite, self._environment("web") | {"ROUTES": routes()}, WEB))
        for service in serving:
            self._wait_healthy(service.name, f"http://127.0.0.1:{service.port}{service.health}")
        self._wait_healthy("web", f"http://127.0.0.1:{WEB_PORT}/")

    def _environment(self, service: str) -> dict[str, str]:
        """What a part is given: what the cloud would give it, and where the emulator is."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(STRIPPED_ENV_PREFIXES)}
        return {**kept, **environment(self.cloud, os.environ), "SERVICE_TYPE": service}

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

    def _accounts(self) -> list[DemoUser]:
        """An operator's account and a user's, signed up where the database has them not."""
        file = self.cloud.folder / "accounts.json"
        accounts = read_accounts(file)
        with httpx.Client(base_url=f"http://127.0.0.1:{port_of('auth')}", timeout=10, trust_env=False) as auth:
            for account in accounts:
                signs_up(auth, account)
        operator = next(account for account in accounts if account.role == "operator")
        grant = [sys.executable, "-m", "app.auth.operators", "grant", operator.email]
        output(grant, env=self._environment("auth"), cwd=ROOT)
        return accounts

    def _wait(self) -> int:
        """Until Ctrl-C, or until a part ends by itself."""
        wait_until(self.group.dead, pause=0.5)
        if dead := self.group.dead():
            say(f"{dead[0]} has ended (exit {dead[1]}); its output is above, or in {self.cloud.logs}")
        return 1


def environment(cloud: Cloud, shell: Mapping[str, str]) -> dict[str, str]:
    """What the product's parts are given on this machine; keys of OpenAI's come from the person's shell."""
    databases_address = cloud.ports.databases
    user = databases.DATABASE_USER
    key = shell.get("OPENAI_API_KEY", "").strip() or DUMMY_KEY
    chat = shell.get("CHAT_MODEL", "").strip() or ("fake" if key == DUMMY_KEY else "openai")
    return {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "DATABASE_URL": f"postgresql://{user}:{user}@{databases_address}:{databases.POSTGRES_PORT}/{DATABASE}",
        "REDIS_URL": f"redis://{databases_address}:{databases.REDIS_PORT}/0",
        "JOBS_QUEUE_URL": f"{cloud.endpoint}/123456789012/{QUEUE}",
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_REGION": REGION,
        **CREDENTIALS,
        "AWS_EC2_METADATA_DISABLED": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "OPENAI_API_KEY": key,
        "OPENAI_MODEL": shell.get("OPENAI_MODEL", "").strip() or "gpt-4o-mini",
        "CHAT_MODEL": chat,
        "LOG_LEVEL": shell.get("LOG_LEVEL", "").strip() or "INFO",
    }


def reloading(command: Sequence[str], packages: Sequence[str]) -> list[str]:
    """A command that is started anew whenever a file of these packages of app/ changes."""
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


def install_web(folder: Path) -> None:
    """Install the front end's locked packages, where they are not those of the lock."""
    lock, stamp = folder / "package-lock.json", folder / "node_modules" / ".slipway"
    if not lock.exists():
        raise UserError(f"{lock} is missing: the front end is not in this checkout.")
    locked = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == locked:
        return
    with step("web", "installing the front end's packages"):
        output(["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=folder, timeout=600)
    stamp.write_text(locked)


def worker_environment(cache: Path) -> Path:
    """A Python with what the worker's image has, and nothing else; made where it is missing."""
    lock = ROOT / "images" / "worker" / "requirements.lock"
    name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = cache / "python" / f"worker-{name}"
    python = venv / "bin" / "python"
    if not (venv / ".complete").exists():
        uv = str(Path(sys.executable).parent / "uv")
        with step("worker", "installing the worker's locked packages"):
            shutil.rmtree(venv, ignore_errors=True)
            settings = {**os.environ, "UV_CACHE_DIR": str(cache / "uv")}
            output([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], env=settings)
            # As the image does: what the lock leaves out on purpose stays out.
            install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", str(python)]
            output([*install, "-r", str(lock)], env=settings, timeout=600)
        (venv / ".complete").touch()
    return python


def read_accounts(file: Path) -> list[DemoUser]:
    """The accounts to try the product with. Random passwords, made once, in a file of this person's alone."""
    if not file.exists():
        made = [
            {"email": f"{role}@example.com", "role": role, "password": secrets.token_urlsafe(12)}
            for role in ("operator", "user")
        ]
        replace_text(file, json.dumps(made, indent=1), 0o600)
    return [DemoUser(**entry) for entry in json.loads(file.read_text())]


def signs_up(auth: httpx.Client, account: DemoUser) -> None:
    """Have an account in the database with its password. Raise UserError if it has another one."""
    credentials = {"email": account.email, "password": account.password}
    made = auth.post("/sign-up", json=credentials)
    if made.status_code == httpx.codes.CREATED:
        return
    if made.status_code == httpx.codes.CONFLICT:
        if auth.post("/sign-in", json=credentials).status_code == httpx.codes.OK:
            return
        raise UserError(
            f"The database has an account {account.email} with another password: run `make dev ARGS=--fresh`, which "
            "empties it."
        )
    raise UserError(f"Auth refused to sign {account.email} up ({made.status_code}).")


def show(accounts: Sequence[DemoUser]) -> None:
    say(f"\nThe product is at http://127.0.0.1:{WEB_PORT}/, its dashboard at http://127.0.0.1:{WEB_PORT}/dashboard")
    for account in accounts:
        row(account.role, f"{account.email}  {account.password}")
    row("api", f"http://127.0.0.1:{port_of('api')}/docs")
    say("Code changes restart the affected service. Ctrl-C ends everything.\n")


if __name__ == "__main__":
    sys.exit(main())
