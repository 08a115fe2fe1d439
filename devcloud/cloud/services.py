"""The services of a cloud: which processes, how they start, when they are healthy, how they end."""

import json
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devcloud.bootstrap import ROOT
from devcloud.cloud import buildkit, databases
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import DockerEngine
from devcloud.cloud.supervisor import Program, Supervisor
from devcloud.toolchain import Toolchain, host_image
from devcloud.util.console import row, say, step
from devcloud.util.files import replace_text
from devcloud.util.locks import locked
from devcloud.util.processes import detach_loops_below, unmount_below
from devcloud.util.sockets import check_ports

BUILDER = "slipway-local"
"""The buildx instance that stands for this cloud's BuildKit, as Pulumi.local.yaml names it."""
BUILDKIT = "buildkit"
EMULATOR = "emulator"
MACHINES = "machines"
VOLUMES = "volumes"
"""The folder of EBS volumes in a cloud's folder: they are gone with the emulator that knew them."""


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
        self.engine.have_host_image(host_image.ensure(self.cloud.cache, say))
        programs = self._programs()
        if self.supervisor.running() and not self._emulator_lives():
            row("emulator", "the emulator has died, and what it held with it: starting the cloud anew")
            self.stop_processes()
        if not self.supervisor.running():
            self._prepare()
            self._forget_stacks()
            # First, so that whatever comes up below is known to be up, even if we are killed right after it.
            self.cloud.emulator_run_id_file.write_text(uuid.uuid4().hex)
            self.supervisor.start(programs, self._check_ports)
        wanted = [program for program in programs if builds or program.name != BUILDKIT]
        # What stands in front of the registry is part of it for the user.
        with step("services", ", ".join(program.title or program.name for program in wanted if program.name != "ecr")):
            self.supervisor.bring_up(wanted)
        self._log_in()

    def stop(self) -> None:
        """End every process, container, network and mount of this cloud."""
        self.stop_processes()
        self.engine.stop()
        detach_loops_below(self.cloud.folder)
        shutil.rmtree(self.cloud.folder / VOLUMES, ignore_errors=True)

    def stop_processes(self) -> None:
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
        databases.create(self.toolchain.postgres_bin, self.cloud.ports.databases, name)

    def drop_database(self, name: str) -> None:
        """Drop a database with all it holds, where there is one."""
        databases.drop(self.toolchain.postgres_bin, self.cloud.ports.databases, name)

    def query(self, database: str, statement: str) -> str:
        """What a statement gives in a database, a line a row, with | between columns."""
        return databases.query(self.toolchain.postgres_bin, self.cloud.ports.databases, database, statement)

    def stop_builder(self) -> None:
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
            row("pulumi", "discarding old stack state: it described a previous emulator")
        shutil.rmtree(state, ignore_errors=True)

    def _emulator_lives(self) -> bool:
        return self.supervisor.states().get(EMULATOR, {}).get("statename") in ("RUNNING", "STARTING", "STOPPED")

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
        """Return every process of the cloud, in the order in which they start."""
        folder, ports, tools = self.cloud.folder, self.cloud.ports, self.toolchain
        gateway = self.engine.gateway()
        shared = ("--registry", f"http://127.0.0.1:{ports.registry}", "--operator", str(self.cloud.operator_file))
        ours = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

        def python(name: str, module: str, port: int, *arguments: str, **settings: Any) -> Program:
            listen = ("--listen", f"127.0.0.1:{port}", "--listen", f"{gateway}:{port}")
            command = [sys.executable, "-m", module, *listen, *shared, *arguments]
            return Program(name, command, environment=ours, listens=("127.0.0.1", port), **settings)

        return [
            buildkit.registry(folder, tools.docker_registry, ports.registry),
            python(
                *(
                    EMULATOR,
                    "devcloud.emulator",
                    ports.aws,
                    "--registry-address",
                    self.cloud.registry_address,
                    "--machines",
                    gateway,
                ),
                priority=2,
                restart=False,  # its state is gone with it: a new one would be another account
                patience=60,
            ),
            Program(
                "postgres",
                databases.postgres(tools.postgres_bin, folder / "postgres", (ports.databases, gateway)),
                2,
                stop_signal="INT",  # a fast shutdown
                title="PostgreSQL",
                listens=(gateway, databases.POSTGRES_PORT),
            ),
            Program(
                "redis",
                databases.redis(tools.redis_server, folder / "redis", (ports.databases, gateway)),
                2,
                title="Redis",
                listens=(gateway, databases.REDIS_PORT),
            ),
            python("ecr", "devcloud.emulator.registry_proxy", ports.ecr, "--aws", self.cloud.endpoint, priority=3),
            self._machines(gateway, ours),
            buildkit.buildkit(
                *(folder, tools.buildkitd, f"{tools.bin}{os.pathsep}{os.environ['PATH']}", self.cloud.buildkit_address)
            ),
        ]

    def _machines(self, gateway: str, environment: Mapping[str, str]) -> Program:
        """Return the data plane of EC2: it runs the emulator's instances as containers."""
        cloud = self.cloud
        docker = {"DOCKER_HOST": cloud.docker_host(), "DOCKER_CONFIG": str(cloud.folder / "docker")}
        return Program(
            MACHINES,
            [
                *(sys.executable, "-m", "devcloud.machines", "--cloud", cloud.name),
                *("--docker", str(self.toolchain.docker), "--image", host_image.of(cloud.cache).name),
                *("--network", cloud.network, "--gateway", gateway, "--logs", str(cloud.logs)),
                *("--volumes", str(cloud.folder / VOLUMES)),
                *("--aws-port", str(cloud.ports.aws), "--registry-port", str(cloud.ports.ecr)),
                *("--operator", str(cloud.operator_file)),
            ],
            priority=4,
            environment={**environment, **docker},
            title="EC2's machines",
        )

    def _log_in(self) -> None:
        """Give the Docker client the registry's login, as `docker login` would."""
        token = self.cloud.aws.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        config = {"auths": {self.cloud.registry_address: {"auth": token}}}
        replace_text(self.cloud.folder / "docker" / "config.json", json.dumps(config), 0o600)
