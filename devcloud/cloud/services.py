"""The services of a cloud: which processes, how they start, when they are healthy, how they end."""

import json
import os
import shutil
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.cloud import buildkit, databases
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.databases import POSTGRES_PORT, REDIS_PORT
from devcloud.cloud.docker import DockerEngine
from devcloud.cloud.supervisor import Program, Supervisor
from devcloud.toolchain import Toolchain
from devcloud.util.console import row, step
from devcloud.util.files import replace_text
from devcloud.util.locks import locked
from devcloud.util.processes import unmount_below
from devcloud.util.sockets import check_ports, wait_for_port, wait_for_socket

BUILDER = "slipway-local"
"""The buildx instance that stands for this cloud's BuildKit, as Pulumi.local.yaml names it."""
BUILDKIT = "buildkit"
SERVICES = ("registry", "aws", "postgres", "redis", "ecr")
"""What every cloud runs, in the order in which it is started; BuildKit besides, where something is built."""
SERVICE_TITLES = {
    "registry": "registry",
    "aws": "emulator",
    "postgres": "PostgreSQL",
    "redis": "Redis",
    BUILDKIT: "BuildKit",
}


@dataclass(frozen=True)
class Health:
    """How one service stands."""

    name: str
    state: str
    pid: int
    up_seconds: int


class Services:
    """All background processes of one cloud."""

    def __init__(self, cloud: Cloud, toolchain: Toolchain) -> None:
        self.cloud = cloud
        self.toolchain = toolchain
        self.engine = DockerEngine(cloud, toolchain)
        self.supervisor = Supervisor(cloud.folder)

    def start(self, *, builds: bool = True) -> None:
        """Have every service running and healthy, BuildKit too where something `builds`. What runs stays as it is."""
        with locked(self.cloud.folder / "start.lock", lambda: row("cloud", "another command starts it; waiting")):
            self._start(builds=builds)

    def _start(self, *, builds: bool) -> None:
        # What is in it (event logs, settings) may hold a stack's secrets: its owner's alone.
        self.cloud.folder.chmod(0o700)
        with step("docker", "the Docker engine"):
            self.engine.start()
        if self.supervisor.running() and not self._emulator_lives():
            row("aws", "the emulator has died, and what it held with it: starting the cloud anew")
            self.stop_processes()
        if not self.supervisor.running():
            self._prepare()
            self._forget_stacks()
            # First, so that whatever comes up below is known to be up, even if we are killed right after it.
            self.cloud.emulator_run_id_file.write_text(uuid.uuid4().hex)
            self.supervisor.start(self._programs(), self._check_ports)
        names = [*SERVICES, *([BUILDKIT] if builds else [])]
        with step("services", ", ".join(SERVICE_TITLES[name] for name in names if name in SERVICE_TITLES)):
            for name in names:
                self.supervisor.start_program(name)
            self._wait(builds=builds)
        self._log_in()

    def stop(self) -> None:
        """End every process, container, network and mount of this cloud."""
        self.stop_processes()
        self.engine.stop()

    def stop_processes(self) -> None:
        """End the supervised processes."""
        self.supervisor.stop()
        self.cloud.emulator_run_id_file.unlink(missing_ok=True)
        unmount_below(self.cloud.folder)

    def running(self) -> bool:
        """Whether this cloud is up."""
        return self.supervisor.running() and self._emulator_lives()

    def health(self) -> list[Health]:
        """Every service with its process and how long it has been up."""
        return [
            Health(name, info["statename"].lower(), info["pid"], max(0, info["now"] - info["start"]))
            for name, info in self.supervisor.states().items()
        ]

    def create_database(self, name: str) -> None:
        """Create a database where it is missing."""
        databases.create(self.toolchain.postgres_bin, self.cloud.ports.databases, name)

    def drop_database(self, name: str) -> None:
        """Drop a database with all it holds, where there is one."""
        databases.drop(self.toolchain.postgres_bin, self.cloud.ports.databases, name)

    def query(self, database: str, statement: str) -> str:
        """What a statement gives in a database, a line a row, with | between columns."""
        return databases.query(self.toolchain.postgres_bin, self.cloud.ports.databases, database, statement)

    def stop_builder(self) -> None:
        """Stop BuildKit alone."""
        self.supervisor.stop_program(BUILDKIT)

    def _check_ports(self) -> None:
        """Raise UserError where a stranger holds a port: whoever answers there is taken for ours."""
        ports, name = self.cloud.ports, self.cloud.name
        remedy = f"end what holds it, or let `make clean CLOUD={name}` give the cloud other ports"
        check_ports((ports.aws, ports.ecr, ports.registry), f"cloud {name}", remedy)

    def _forget_stacks(self) -> None:
        """The emulator begins empty, so what stacks' states say of an earlier life is no longer true."""
        state = self.cloud.state / ".pulumi"
        if any((state / "stacks").rglob("*.json")):
            row("pulumi", "the state of the stacks goes with the emulator that it was about")
        shutil.rmtree(state, ignore_errors=True)

    def _emulator_lives(self) -> bool:
        return self.supervisor.states().get("aws", {}).get("statename") in ("RUNNING", "STARTING", "STOPPED")

    def _wait(self, *, builds: bool) -> None:
        ports, logs = self.cloud.ports, self.cloud.logs
        gateway = self.engine.gateway()
        wait_for_port("127.0.0.1", ports.registry, 30, "The registry", logs / "registry.log")
        wait_for_port("127.0.0.1", ports.aws, 60, "The AWS emulator", logs / "aws.log")
        wait_for_port("127.0.0.1", ports.ecr, 30, "The ECR front", logs / "ecr.log")
        wait_for_port(gateway, POSTGRES_PORT, 30, "PostgreSQL", logs / "postgres.log")
        wait_for_port(gateway, REDIS_PORT, 30, "Redis", logs / "redis.log")
        if builds:
            socket = Path(self.cloud.buildkit_address.removeprefix("unix://"))
            wait_for_socket(socket, 30, "BuildKit", logs / "buildkit.log")

    def _prepare(self) -> None:
        """Write each service's configuration; make the database's folder."""
        folder, ports = self.cloud.folder, self.cloud.ports
        for name in ("registry", "buildkit", "redis", "docker", "buildx/instances", "pulumi", "bridge"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        buildkit.write_registry_settings(folder, ports.registry)
        buildkit.write_buildkit_settings(
            folder, self.toolchain.runc, self.cloud.buildkit_address, ports.registry, (self.cloud.registry_address,)
        )
        (folder / "buildx" / "instances" / BUILDER).write_text(
            json.dumps(
                {
                    "Name": BUILDER,
                    "Driver": "remote",
                    "Nodes": [{"Name": f"{BUILDER}0", "Endpoint": self.cloud.buildkit_address}],
                    "Dynamic": False,
                }
            )
        )
        if not (folder / "postgres").exists():
            with step("postgres", "making the database's folder"):
                databases.initialise(self.toolchain.postgres_bin, folder / "postgres")

    def _programs(self) -> list[Program]:
        folder, ports, tools = self.cloud.folder, self.cloud.ports, self.toolchain
        gateway = self.engine.gateway()
        aws_listen = ("--listen", f"127.0.0.1:{ports.aws}", "--listen", f"{gateway}:{ports.aws}")
        ecr_listen = ("--listen", f"127.0.0.1:{ports.ecr}", "--listen", f"{gateway}:{ports.ecr}")
        registry = f"http://127.0.0.1:{ports.registry}"
        ours = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        path = {"PATH": f"{tools.bin}{os.pathsep}{os.environ['PATH']}"}
        return [
            buildkit.registry(folder, tools.docker_registry),
            Program(
                "aws",
                [
                    *(sys.executable, "-m", "devcloud.emulator", *aws_listen),
                    *("--registry", registry, "--registry-address", self.cloud.registry_address),
                ],
                2,
                restart=False,  # its state is gone with it: a new one would be another account
                environment=ours,
            ),
            Program(
                "ecr",
                [
                    *(sys.executable, "-m", "devcloud.emulator.registry_proxy", *ecr_listen),
                    *("--registry", registry, "--aws", self.cloud.endpoint),
                ],
                3,
                environment=ours,
            ),
            buildkit.buildkit(folder, tools.buildkitd, path["PATH"]),
            Program(
                "postgres",
                databases.postgres(tools.postgres_bin, folder / "postgres", (ports.databases, gateway)),
                2,
                stop_signal="INT",  # a fast shutdown
            ),
            Program("redis", databases.redis(tools.redis_server, folder / "redis", (ports.databases, gateway)), 2),
        ]

    def _log_in(self) -> None:
        """Give the Docker client the registry's login, as `docker login` would."""
        token = self.cloud.aws.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        config = {"auths": {self.cloud.registry_address: {"auth": token}}}
        replace_text(self.cloud.folder / "docker" / "config.json", json.dumps(config), 0o600)
