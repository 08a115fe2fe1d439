"""The services of a cloud: which processes, how they start, when they are healthy, how they end."""

import json
import os
import shutil
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import boto3

from devcloud.bootstrap import ROOT
from devcloud.cloud import REGION, Cloud
from devcloud.console import row, step
from devcloud.docker import Engine
from devcloud.process import output, unmount_below
from devcloud.supervisor import Program, Supervisor, wait_for_port, wait_for_socket
from devcloud.toolchain import Toolchain
from devcloud.toolchain.work import locked

BUILDER = "slipway-local"
"""The buildx instance that stands for this cloud's BuildKit, as Pulumi.local.yaml names it."""
DATABASE_USER = "slipway"
DATABASE_OWNER = "postgres"
"""The user of the machine that PostgreSQL runs as where we are root; its Debian package makes it."""
POSTGRES_PORT = 5432
REDIS_PORT = 6379
"""On addresses that are the cloud's alone, so the customary ports are free there."""
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
        self.engine = Engine(cloud, toolchain)
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
            self.cloud.incarnation_file.write_text(uuid.uuid4().hex)
            self.supervisor.start(self._programs())
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
        self.cloud.incarnation_file.unlink(missing_ok=True)
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
        found = self._psql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'")  # noqa: S608  our own names
        if not found.strip():
            self._psql("postgres", f'CREATE DATABASE "{name}"')

    def drop_database(self, name: str) -> None:
        """Drop a database with all it holds, where there is one."""
        self._psql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def stop_builder(self) -> None:
        """Stop BuildKit alone."""
        self.supervisor.stop_program(BUILDKIT)

    def _forget_stacks(self) -> None:
        """The emulator begins empty, so what stacks' states say of an earlier life is no longer true."""
        state = self.cloud.state / ".pulumi"
        if any((state / "stacks").rglob("*.json")):
            row("pulumi", "the state of the stacks goes with the emulator that it was about")
        shutil.rmtree(state, ignore_errors=True)

    def _psql(self, database: str, statement: str) -> str:
        return output(
            [
                *(str(self.toolchain.postgres_bin / "psql"), "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"),
                *(
                    "-h",
                    self.cloud.ports.databases,
                    "-p",
                    str(POSTGRES_PORT),
                    "-U",
                    DATABASE_USER,
                    "-c",
                    statement,
                ),
                database,
            ],
            env={**os.environ, "PGPASSWORD": DATABASE_USER},
        )

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
        (folder / "registry.yml").write_text(
            f"version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{ports.registry}', relativeurls: true, secret: {self.cloud.name}}}\n"
        )
        (folder / "buildkitd.toml").write_text(
            f'root = "{folder / "buildkit"}"\n'
            f'[grpc]\naddress = ["{self.cloud.buildkit_address}"]\n'
            # Host networking: what the machine's package clients reach, a RUN reaches.
            f'[worker.oci]\nenabled = true\nnetworkMode = "host"\nbinary = "{self.toolchain.runc}"\n'
            "[worker.containerd]\nenabled = false\n"
            f'[registry."docker.io"]\nmirrors = ["127.0.0.1:{ports.registry}"]\n'
            f'[registry."127.0.0.1:{ports.registry}"]\nhttp = true\n'
            f'[registry."{self.cloud.registry_address}"]\nhttp = true\n'
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
            self._init_database(folder / "postgres")

    def _init_database(self, folder: Path) -> None:
        """Make the database's folder, whole or not at all: initdb's first file is there long before its last."""
        data = folder.with_name(f"{folder.name}.new")
        for leftover in (data, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        password = self.cloud.folder / "postgres-password"
        password.write_text(DATABASE_USER)
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(password, DATABASE_OWNER, DATABASE_OWNER)
            shutil.chown(data, DATABASE_OWNER, DATABASE_OWNER)
        with step("postgres", "making the database's folder"):
            output(
                [
                    *_as_database_user(),
                    *(str(self.toolchain.postgres_bin / "initdb"), "-D", str(data), "-U", DATABASE_USER),
                    *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
                ],
                cwd=Path("/"),
            )
        with (data / "pg_hba.conf").open("a") as access:
            access.write("host all all 0.0.0.0/0 scram-sha-256\n")  # listens on loopback and the bridge alone
        password.unlink()
        data.rename(folder)

    def _programs(self) -> list[Program]:
        folder, ports, tools = self.cloud.folder, self.cloud.ports, self.toolchain
        gateway = self.engine.gateway()
        aws_listen = ("--listen", f"127.0.0.1:{ports.aws}", "--listen", f"{gateway}:{ports.aws}")
        ecr_listen = ("--listen", f"127.0.0.1:{ports.ecr}", "--listen", f"{gateway}:{ports.ecr}")
        registry = f"http://127.0.0.1:{ports.registry}"
        ours = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        path = {"PATH": f"{tools.bin}{os.pathsep}{os.environ['PATH']}"}
        return [
            Program("registry", [str(tools.docker_registry), "serve", str(folder / "registry.yml")], 1),
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
                    *(sys.executable, "-m", "devcloud.emulator.ecr_front", *ecr_listen),
                    *("--registry", registry, "--aws", self.cloud.endpoint),
                ],
                3,
                environment=ours,
            ),
            Program(
                BUILDKIT,
                [str(tools.buildkitd), "--config", str(folder / "buildkitd.toml")],
                2,
                environment=path,
            ),
            Program(
                "postgres",
                [
                    *_as_database_user(),
                    *(str(tools.postgres_bin / "postgres"), "-D", str(folder / "postgres")),
                    *("-c", f"listen_addresses={ports.databases},{gateway}", "-c", f"port={POSTGRES_PORT}"),
                    *("-c", f"unix_socket_directories={folder / 'postgres'}"),
                ],
                2,
                stop_signal="INT",  # a fast shutdown
            ),
            Program(
                "redis",
                [
                    *(str(tools.redis_server), "--bind", ports.databases, gateway, "--port", str(REDIS_PORT)),
                    *("--dir", str(folder / "redis"), "--protected-mode", "no", "--save", ""),
                ],
                2,
            ),
        ]

    def _log_in(self) -> None:
        """Give the Docker client the registry's login, as `docker login` would."""
        ecr = boto3.client(
            "ecr",
            endpoint_url=self.cloud.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  the emulator takes any
        )
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        config = self.cloud.folder / "docker" / "config.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"auths": {self.cloud.registry_address: {"auth": token}}}))


def _as_database_user() -> list[str]:
    """PostgreSQL refuses to run as root: where we are, it runs as the user that its package made.

    That user may not look into root's home, where the cache folder usually is: the one capability to pass through
    folders makes up for it, and gives no right to write.
    """
    if os.geteuid() != 0:
        return []
    capability = "+dac_read_search"
    return [
        *("setpriv", f"--reuid={DATABASE_OWNER}", f"--regid={DATABASE_OWNER}", "--init-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
    ]


__all__ = ["BUILDER", "Health", "Services"]
