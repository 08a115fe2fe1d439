"""A stand-in for the host: Docker, iptables, systemd, time and AWS, strict about every command line."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.host.aws import AwsError, Datum, LogEvent, Login
from infra.host.graph import Graph, parse
from infra.host.host import Host
from infra.host.machine import Done, UnfitCertificateError
from infra.host.probes import Answer
from infra.host.sigv4 import Credentials
from infra.host.store import Store

OWN = "10.20.0.10"
PUBLIC = 80
VOLUME = "vol-0123456789abcdef0"
DATA = "/var/lib/slipway-data"
NVME = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
PROGRAM = "0123456789abcdef"
SECRET = "postgresql://slipway:hush-hush@db/slipway"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def image(name: str, number: int) -> str:
    return f"{REGISTRY}/slipway-local/{name}@{digest(number)}"


def service(**changes: Any) -> dict[str, Any]:
    """Return a service of the graph's JSON."""
    plain = {
        "image": "",
        "once": False,
        "edge": False,
        "port": 8000,
        "memoryMib": 100,
        "user": None,
        "ready": "/ready",
        "health": "/health",
        "route": None,
        "strip": True,
        "probes": [],
        "after": {},
        "environment": {},
        "secrets": {},
        "role": None,
        "volume": None,
        "stateful": False,
        "published": False,
        "command": [],
        "check": [],
        "onStart": [],
        "tmpfs": [],
        "dump": [],
        "restore": [],
    }
    assert changes.keys() <= plain.keys()
    return {**plain, **changes}


SERVICES: dict[str, Any] = {
    "migrate": service(once=True, port=None, ready=None, secrets={"DATABASE_URL": "database-url"}),
    "api": service(
        route="/api",
        after={"migrate": "completed"},
        environment={"SERVICE_TYPE": "api"},
        secrets={"DATABASE_URL": "database-url"},
        role="arn:aws:iam::123456789012:role/slipway-local-api",
        probes=[{"path": "/labs", "status": [401]}],
    ),
    "dashboard": service(
        port=8001, health="/dashboard/health", route="/dashboard", strip=False, after={"migrate": "completed"}
    ),
    "web": service(edge=True, port=8080, ready="/health", memoryMib=64, after={"api": "healthy"}),
}


def graph_json(services: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a graph's JSON."""
    return {
        "schema": 1,
        "name": "slipway-local",
        "region": "us-east-1",
        "document": "slipway-local-host",
        "parameter": "/slipway/local/release",
        "parameterPath": "/slipway/local",
        "logGroup": "/slipway-local/api",
        "httpPort": PUBLIC,
        "hostAddress": "10.20.0.11",
        "memoryMib": 1000,
        "hostMemoryMib": 1960,
        "seconds": {
            "agent": 300,
            "pull": 300,
            "once": 120,
            "ready": 45,
            "steady": 6,
            "watch": 5,
            "certificate": 90,
            "request": 130,
        },
        "updates": {"day": "Sun", "hour": 3},
        "backups": {"hour": 2, "keep": 3},
        "tls": None,
        "dataVolume": {"id": VOLUME, "device": "/dev/sdf"},
        "services": {
            name: {**entry, "image": f"{REGISTRY}/slipway-local/{name}"}
            for name, entry in (services or SERVICES).items()
        },
        **changes,
    }


def release_text(number: int, secret: int = 1, services: Mapping[str, Any] | None = None, **images: int) -> str:
    """Return a release whose images have a digest of this number, but for those that are given."""
    numbers = {name: images.get(name, number) for name in services or SERVICES}
    return json.dumps(
        {
            "schema": 2,
            "host": "slipway-local-host",
            "hostVersion": "1",
            "program": PROGRAM,
            "services": {name: image(name, number) for name, number in numbers.items()},
            "secrets": {"database-url": secret},
        }
    )


def docker_time(seconds: float) -> str:
    """Return a time as Docker writes it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{seconds % 1 * 1e9:09.0f}Z"


class Killed(BaseException):
    """The program was killed at this moment."""


@dataclass
class Behaviour:
    """How containers of an image behave."""

    ends_after: float | None = None
    exit_code: int = 1
    out_of_memory: bool = False
    ready_after: float = 0.5
    ready_status: int = 200
    ready_body: str = "{}"
    hangs: bool = False
    port: int | None = None
    """Another port than the graph's."""
    status: dict[str, int] = field(default_factory=dict)
    """Statuses of other paths."""
    says_digest: str | None = ""
    """Another digest than that of its environment; None for no header."""
    log: str = "the end of the log"
    errors: str = ""
    """The log's lines on the standard error output."""
    refuses: str = ""
    """The message of `docker run`, if it fails."""
    breaks_after_turn: bool = False
    failing: str = ""
    """The program that fails in it."""


@dataclass
class FakeContainer:
    """A container of the stand-in's engine."""

    name: str
    image: str
    address: str
    environment: dict[str, str]
    options: dict[str, str]
    started: float
    behaviour: Behaviour
    stopped: int | None = None
    """The exit code of one that was stopped."""
    restart: str = "no"
    restarts: int = 0
    command: list[str] = field(default_factory=list)
    executed: list[list[str]] = field(default_factory=list)
    """The commands that were run in it."""


@dataclass
class FakeAws:
    """AWS, which may be away."""

    release: str | None = None
    away: bool = False
    refuses: AwsError | None = None
    meanwhile: Callable[[], object] | None = None
    """An event while the parameter is read."""
    denials: int = 0
    """How many times a role is still denied."""
    asked: list[str] = field(default_factory=list)
    value: str = SECRET
    published: list[dict[str, float]] = field(default_factory=list)
    """Values of metrics, by name and dimensions, for each call."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """Messages by stream."""

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise AwsError("did not answer (timed out)")
        if self.refuses:
            raise self.refuses

    def parameter(self, name: str) -> str | None:
        self._ask(name)
        if self.meanwhile:
            self.meanwhile()
        return self.release

    def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        self._ask(" ".join(names))
        return dict.fromkeys(names, self.value)

    def login(self) -> Login:
        self._ask("login")
        return Login(REGISTRY, "QVdTOnRva2Vu")

    def assume(self, role: str, session: str) -> Credentials:
        self._ask(role)
        if self.denials > 0:
            self.denials -= 1
            raise AwsError("refused with 403 AccessDenied: not authorized to perform sts:AssumeRole", "AccessDenied")
        return Credentials("AKIA", "hidden", "token", "2026-11-28T12:00:00Z")

    def put_metrics(self, namespace: str, data: Sequence[Datum]) -> None:
        self._ask(f"metrics of {namespace}")
        self.published.append({".".join([one.name, *one.dimensions.values()]): one.value for one in data})

    def put_log_events(self, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        self._ask(f"log {group} {stream}")
        assert list(events) == sorted(events, key=lambda event: event.milliseconds)
        self.logs.setdefault(stream, []).extend(event.message for event in events)


ENGINE = ("docker", "containerd", "runc")
DATA_COMMANDS = (
    *("mountpoint", "test", "wipefs", "mkfs.ext4", "mkdir", "mount", "resize2fs", "install", "touch", "rm"),
    *("bash", "find", "mv", "sync"),
)
OPTIONS_ALONE = {"--detach", "--read-only"}


@dataclass
class FakeMachine:
    """The host's machine. Unknown commands fail the test."""

    graph: Graph
    time: float = 1000.0
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """By image."""
    architectures: dict[str, str] = field(default_factory=dict)
    absent_images: set[str] = field(default_factory=set)
    registry_away_until: float = 0.0
    registry_denies_until: float = 0.0
    docker_away_until: float = 0.0
    restarts_in_run: str = ""
    """Docker is restarted while it starts a container of this service, which is there then."""
    installed_at: dict[str, float] = field(default_factory=dict)
    """When a command is installed; those that are not named are."""
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    pulled: set[str] = field(default_factory=set)
    network: str | None = None
    doors: dict[int, str] = field(default_factory=dict)
    """The address:port that each public port leads to."""
    accepted: set[str] = field(default_factory=set)
    certified: dict[str, float] = field(default_factory=dict)
    """When each domain gets its certificate; those that are not named get none."""
    jumps: set[tuple[str, str]] = field(default_factory=set)
    """Chains that lead to others."""
    guarded: bool = False
    """Whether the containers are kept from the host."""
    certificates: tuple[int, int] = (1, 40)
    """The MiB and the files of the folder of certificates."""
    lifetime: tuple[float, float] = (0.0, 90 * 24 * 3600.0)
    """The dates of every certificate."""
    unfit: str = ""
    """Why every certificate is of no use."""
    memory: int = 900
    total_memory: int = 1960
    disk: int = 5000
    logged: dict[str, list[str]] = field(default_factory=dict)
    """Lines of containers, each with its time; the others have that of their behaviour."""
    commands: list[list[str]] = field(default_factory=list)
    moments: int = 0
    kill_at: int | None = None
    invariant: Any = None
    """Called at each moment, with the machine."""
    other_program: Callable[[list[str]], None] | None = None
    """Runs another program of the host."""
    unit_active: bool = False
    unit_restarts_at: float | None = None
    """When systemd starts the release's unit again, which has its name until then."""
    disks: dict[str, str | None] = field(default_factory=dict)
    """File systems by device: empty for a blank one, None for one that cannot be read."""
    grows: bool = True
    """Whether a file system can be grown."""
    mounted: str | None = None
    """The device with the data."""
    folders: set[str] = field(default_factory=set)
    """Folders on the data volume."""
    files: dict[str, str] = field(default_factory=dict)
    """Dumps on the data volume: the data of their time, by path."""
    content: str = ""
    """The data of the services that are dumped."""
    full: bool = False
    """Whether the data volume has no room."""
    backup_unit: bool = False
    initramfs: bool = True
    """Whether the kernel of the next boot has one."""
    updates: list[str] = field(default_factory=list)
    """Packages with security updates."""
    needs_restart: bool = False
    fails: dict[str, str] = field(default_factory=dict)
    """Messages of commands of the system that fail, by how they begin."""
    downloaded: list[str] = field(default_factory=list)
    """Packages that were downloaded and not installed."""
    kernel: str = "6.12.40-63.114.amzn2023.x86_64"
    """The kernel that runs."""
    default_kernel: str = "6.12.40-63.114.amzn2023.x86_64"
    """The kernel that the next boot starts."""
    restarts_fail: bool = False
    rebooting: bool = False
    during_upgrade: Callable[[], object] | None = None

    # The machine's interface.

    def run(self, command: Sequence[str], *, given: str | None = None, seconds: float = 60) -> Done:
        self.moment()
        self.commands.append(list(command))
        self.time += 0.02
        if self.time < self.installed_at.get(command[0], 0):
            return Done(127, "", f"{command[0]} is not installed")
        done = self._docker(list(command), seconds) if command[0] == "docker" else self._other(list(command), given)
        self.moment()
        return done

    def get(self, address: str, port: int, path: str, seconds: float, domain: str | None = None) -> Answer:
        self.time += 0.01
        if address == OWN:
            if port not in self.doors or ("PREROUTING", "SLIPWAY") not in self.jumps:
                raise ConnectionRefusedError(111, "Connection refused")
            where = self.doors[port]
            address, port = where.split(":")[0], int(where.split(":")[1])
            if where not in self.accepted:
                raise OSError("timed out")
        return self._answer(address, port, path, seconds, domain)

    def certificate(self, address: str, port: int, domain: str, seconds: float) -> tuple[float, float]:
        self.get(address, port, "/health", seconds, domain)
        if self.unfit:
            raise UnfitCertificateError(self.unfit)
        return self.lifetime

    @property
    def nat(self) -> str:
        """The address that the public port of HTTP leads to; empty for none."""
        return self.doors.get(PUBLIC, "")

    def connects(self, address: str, port: int, seconds: float) -> bool:
        listening = [one for one in self.containers.values() if one.address == address and self.runs(one)]
        return any(self.time >= one.started + one.behaviour.ready_after / 2 for one in listening)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def free_memory_mib(self) -> int:
        return self.memory

    def memory_mib(self) -> int:
        return self.total_memory

    def free_disk_mib(self, folder: str) -> int:
        assert folder == "/var/lib/docker"
        return self.disk

    def memory_used_percent(self) -> float:
        return 55.0

    def disk_used_percent(self, folder: str) -> float:
        return {"/": 40.0, DATA: 10.0}[folder]

    def own_address(self) -> str:
        return OWN

    def architecture(self) -> str:
        return "amd64"

    def tcp_table(self, pid: int) -> str:
        ports = [one.behaviour.port or 0 for one in self.containers.values() if one.behaviour.port]
        rows = [f"   0: 00000000:{port:04X} 00000000:0000 0A" for port in ports]
        return "\n".join(["  sl  local_address rem_address st", *rows])

    def environment(self, name: str) -> str | None:
        return {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}.get(name)

    # What happens behind it.

    def moment(self) -> None:
        """Pass a moment at which the program may be killed."""
        self.moments += 1
        if self.kill_at is not None and self.moments == self.kill_at:
            self.kill_at = None
            raise Killed
        if self.invariant:
            self.invariant(self)

    def reboot(self) -> None:
        """Stop everything, and start what Docker itself starts again; the rules are gone."""
        self.doors, self.accepted, self.jumps, self.guarded, self.mounted = {}, set(), set(), False, None
        self.kernel, self.needs_restart, self.rebooting = self.default_kernel, False, False
        for one in self.containers.values():
            if one.restart == "no" and self.runs(one):
                one.stopped = 137
            elif self._data_of(one):
                one.stopped = 127  # Docker finds no folder to mount
            if one.stopped is None:
                one.started = self.time

    def runs(self, one: FakeContainer) -> bool:
        dead = one.behaviour.ends_after is not None and self.time >= one.started + one.behaviour.ends_after
        return one.stopped is None and not dead

    def _docker(self, command: list[str], seconds: float) -> Done:
        if self.time < self.docker_away_until:
            return Done(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
        del command[0]
        if command[0] == "--config":
            assert (Path(command[1]) / "config.json").is_file(), "there is a login"
            del command[:2]
        verb = command.pop(0)
        if verb in ("container", "image", "network"):
            verb = f"{verb} {command.pop(0)}"
        method = getattr(self, f"_{verb.replace(' ', '_')}", None)
        assert method is not None, f"docker has no stand-in for {verb}"
        done = method(command)
        assert isinstance(done, Done)
        return done

    def _run(self, command: list[str]) -> Done:
        options, mounts = self._options(command)
        reference = command.pop(0)
        name, file = options["--name"], Path(options["--env-file"])
        assert options["--pull"] == "never"
        assert options["--cap-drop"] == "ALL"
        assert options["--security-opt"] == "no-new-privileges"
        assert options["--memory"] == options["--memory-swap"]
        assert "--read-only" in options
        published = [other.options.get("--publish") for other in self.containers.values() if self.runs(other)]
        assert options.get("--publish", "none") not in published
        assert file.stat().st_mode & 0o777 == 0o600
        assert name not in self.containers, f"{name} is in use"
        assert options["--ip"] not in {one.address for one in self.containers.values()}, "each its own address"
        assert reference in self.pulled, "it was pulled"
        assert self.network == "172.29.231.0/24"
        assert self.guarded
        assert {("INPUT", "SLIPWAY-GUARD"), ("DOCKER-USER", "SLIPWAY-GUARD")} <= self.jumps
        behaviour = self.behaviours.get(reference, Behaviour())
        if behaviour.refuses:
            return Done(125, "", f"docker: Error response from daemon: {behaviour.refuses}.\n")
        if "--mount" in options:
            sources = [Path(mount.split("source=")[1].split(",")[0]) for mount in mounts]
            assert all(self._is_data(source) or source.is_dir() for source in sources)
        environment = dict(line.split("=", 1) for line in file.read_text().splitlines())
        if options["--label"].endswith("=migrate") and behaviour.ends_after is None:
            behaviour = replace(behaviour, ends_after=1.0, exit_code=0)
        self.containers[name] = FakeContainer(
            name, reference, options["--ip"], environment, options, self.time, behaviour, command=command
        )
        if self.restarts_in_run and name.endswith(f"-{self.restarts_in_run}"):
            self.restarts_in_run = ""
            self.docker_away_until = self.time + 3
            return Done(125, "", "error during connect: Post http://docker.sock/v1.41/containers/start: EOF.")
        return Done(0, "id\n", "")

    def _options(self, command: list[str]) -> tuple[dict[str, str], list[str]]:
        options: dict[str, str] = {}
        mounts = []
        while command[0].startswith("--"):
            name = command.pop(0)
            options[name] = "" if name in OPTIONS_ALONE else command.pop(0)
            if name == "--mount":
                mounts.append(options[name])
                options[name] = " ".join(mounts)
        return options, mounts

    def _update(self, command: list[str]) -> Done:
        options, _ = self._options(command)
        for name in command:
            self.containers[name].restart = options["--restart"]
        return Done(0, "", "")

    def _start(self, command: list[str]) -> Done:
        one = self.containers[command[0]]
        if self._data_of(one) and not self.mounted:
            return Done(1, "", "Error response from daemon: invalid mount config: bind source path does not exist")
        if not self.runs(one):
            one.stopped, one.started = None, self.time
        return Done(0, "", "")

    def _stop(self, command: list[str]) -> Done:
        assert command[0] == "--time"
        assert int(command[1]) >= 130
        for name in command[2:]:
            one = self.containers[name]
            if self.runs(one):
                one.stopped = 0
        return Done(0, "", "")

    def _restart(self, command: list[str]) -> Done:
        self.containers[command[-1]].started = self.time
        return Done(0, "", "")

    def _rm(self, command: list[str]) -> Done:
        assert command[:2] == ["--force", "--volumes"]
        for name in command[2:]:
            self.containers.pop(name, None)
        return Done(0, "", "")

    def _exec(self, command: list[str]) -> Done:
        name, *words = command
        one = self.containers[name]
        if not self.runs(one):
            return Done(1, "", f"Error response from daemon: Container {name} is not running")
        one.executed.append(words)
        if one.behaviour.failing == words[0] or self.time < one.started + one.behaviour.ready_after:
            more = "\nCommand was: DROP" if words[0] == "pg_restore" else ""
            return Done(2, "", f"{words[0]}: no attempt{more}")
        return Done(0, "", "")

    def _ps(self, command: list[str]) -> Done:
        every = "--all" in command
        names = [name for name, one in self.containers.items() if every or self.runs(one)]
        return Done(0, "\n".join(names), "")

    def _container_inspect(self, command: list[str]) -> Done:
        known = [self.containers[name] for name in command if name in self.containers]
        entries = [
            {
                "Name": f"/{one.name}",
                "Config": {
                    "Labels": {"slipway.service": one.options["--label"].rpartition("=")[2]},
                    "Env": [f"{name}={value}" for name, value in one.environment.items()],
                },
                "RestartCount": one.restarts,
                "State": {
                    "Running": self.runs(one),
                    "Restarting": False,
                    "ExitCode": 0
                    if self.runs(one)
                    else one.behaviour.exit_code
                    if one.stopped is None
                    else one.stopped,
                    "OOMKilled": one.behaviour.out_of_memory and not self.runs(one),
                    "Pid": 4711,
                    "StartedAt": str(one.started),
                },
            }
            for one in known
        ]
        return Done(0 if len(known) == len(command) else 1, json.dumps(entries), "")

    def _stats(self, command: list[str]) -> Done:
        assert command[:3] == ["--no-stream", "--format", "{{.Name}} {{.MemUsage}}"]
        lines = [f"{name} 140.2MiB / 224MiB" for name in command[3:] if self.runs(self.containers[name])]
        return Done(0, "\n".join(lines), "")

    def _logs(self, command: list[str]) -> Done:
        one = self.containers[command[-1]]
        if "--timestamps" not in command:
            return Done(0, one.behaviour.log, one.behaviour.errors)
        lines = self.logged.get(one.name, [f"{docker_time(one.started)} {one.behaviour.log}"])
        since = command[command.index("--since") + 1] if "--since" in command else ""
        after = since if since.endswith("Z") else docker_time(float(since or 0))
        until = docker_time(float(command[command.index("--until") + 1])) if "--until" in command else "9"
        return Done(0, "".join(f"{line}\n" for line in lines if after <= line < until), "")

    def _info(self, command: list[str]) -> Done:
        return Done(0, "/var/lib/docker\n", "")

    def _pull(self, command: list[str]) -> Done:
        reference = command[-1]
        if self.time < self.registry_away_until:
            return Done(1, "", "Error response from daemon: Get https://registry/v2/: connection refused")
        if self.time < self.registry_denies_until:
            reason = "repository does not exist or may require 'docker login': denied: ecr:BatchGetImage"
            return Done(1, "", f"Error response from daemon: pull access denied for {reference}, {reason}")
        if reference in self.absent_images:
            return Done(1, "", f"Error response from daemon: manifest for {reference} not found: manifest unknown")
        self.pulled.add(reference)
        return Done(0, reference, "")

    def _image_inspect(self, command: list[str]) -> Done:
        if command[-1] not in self.pulled:
            return Done(1, "", "No such image")
        if "{{.Config.User}}" in command:
            return Done(0, "10001:10002\n", "")
        return Done(0, self.architectures.get(command[-1], "amd64") + "\n", "")

    def _image_ls(self, command: list[str]) -> Done:
        return Done(0, "\n".join([*sorted(self.pulled), "redis@<none>"]), "")

    def _image_rm(self, command: list[str]) -> Done:
        assert command[0] not in {one.image for one in self.containers.values()}
        self.pulled.discard(command[0])
        return Done(0, "", "")

    def _network_inspect(self, command: list[str]) -> Done:
        return Done(0, self.network, "") if self.network else Done(1, "", "No such network")

    def _network_create(self, command: list[str]) -> Done:
        self.network = command[command.index("--subnet") + 1]
        return Done(0, "", "")

    def _other(self, command: list[str], given: str | None) -> Done:
        if command[0] == "iptables-restore":
            assert command[1:] == ["--noflush", "--wait", "10"]
            assert given is not None
            self._restore(given)
            return Done(0, "", "")
        if command[0] == "iptables":
            return self._iptables(command)
        if command[0] == "du":
            assert command[-1] == f"{DATA}/.certificates"
            return Done(0, f"{self.certificates[command[2] == '--inodes']}\t{command[-1]}\n", "")
        if command[-1] == "-delete":
            assert command[:-1] == ["find", f"{DATA}/.certificates", "-mindepth", "2"]
            self.certificates = (1, 3)
            return Done(0, "", "")
        if command[0] in DATA_COMMANDS:
            return self._dumps(command) or self._data(command)
        if command[0] == sys.executable and self.other_program:
            self.other_program(command)
            return Done(0, "", "")
        if command[0] == "systemctl":
            return self._systemctl(command)
        for beginning, message in self.fails.items():
            if " ".join(command).startswith(beginning):
                return Done(1, "", message)
        if command[0] == "dnf":
            return self._dnf(command[1:])
        if command == ["uname", "--kernel-release"]:
            return Done(0, f"{self.kernel}\n", "")
        if command == ["grubby", "--default-kernel"]:
            return Done(0, f"/boot/vmlinuz-{self.default_kernel}\n", "")
        if command[:2] == ["test", "-s"]:
            return Done(0 if self.initramfs else 1, "", "")
        if command[0] == "dracut":
            self.initramfs = True
            return Done(0, "", "")
        assert command[0] == "systemd-run", command
        if "slipway-data" in command:
            taken, self.backup_unit = self.backup_unit, True
            return Done(1, "", "Unit slipway-data.service already exists.") if taken else Done(0, "", "")
        if self.unit_active or self.unit_restarts_at is not None:
            return Done(1, "", "Failed to start transient service unit: Unit slipway-release.service already exists.")
        self.unit_active = True
        return Done(0, "", "")

    def _dnf(self, command: list[str]) -> Done:
        if command == ["needs-restarting", "--reboothint"]:
            if not self.needs_restart:
                return Done(0, "Reboot should not be necessary.\n", "")
            return Done(1, "  * glibc\n\nReboot is required to fully utilize these updates.\n", "")
        security = ["--security", "--releasever=latest"]
        engine = [name for name in self.updates if name in ENGINE]
        if command == ["check-update", *security, *ENGINE]:
            return Done(100 if engine else 0, "\n".join(engine), "")
        if command == ["upgrade", "--assumeyes", *security, "--downloadonly", *ENGINE]:
            self.downloaded = engine
            return Done(0, "Complete!\n", "")
        if command == ["upgrade", "--assumeyes", *security, "--cacheonly", *ENGINE]:
            assert self.downloaded == engine
            taken = engine
        else:
            assert command == ["upgrade", "--assumeyes", *security, f"--exclude={','.join(ENGINE)}"]
            if self.during_upgrade:
                self.during_upgrade()
            taken = [name for name in self.updates if name not in ENGINE]
        # dnf knows a kernel only by the name that Amazon Linux 2023 gives to none but its first one.
        self.needs_restart |= bool({"kernel", "glibc"} & set(taken))
        if any(name.startswith("kernel") for name in taken):
            self.default_kernel = "6.18.20-20.229.amzn2023.x86_64"
        self.updates = [name for name in self.updates if name not in taken]
        return Done(0, "Complete!\n", "")

    def _systemctl(self, command: list[str]) -> Done:
        if command[1] == "reboot":
            self.rebooting = not self.restarts_fail
            return Done(1 if self.restarts_fail else 0, "", "Failed to talk to init daemon." * self.restarts_fail)
        if command[1] != "is-active":
            return Done(0, "", "")
        if command[2] == "slipway-data":
            return Done(0, "active\n", "") if self.backup_unit else Done(3, "inactive\n", "")
        if self.unit_restarts_at is not None and self.time >= self.unit_restarts_at:
            self.unit_active, self.unit_restarts_at = True, None
        state = "active" if self.unit_active else "activating" if self.unit_restarts_at else "inactive"
        return Done(0 if self.unit_active else 3, f"{state}\n", "")

    def _dumps(self, command: list[str]) -> Done | None:
        """Answer a command about dumps; None for any other."""
        folder, last = f"{DATA}/.backups", command[-1]
        if command[0] == "find":
            lines = [f"{path.removeprefix(folder)[1:]} {len(text)}\n" for path, text in self.files.items()]
            return Done(0, "".join(lines), "")
        if command[0] == "bash":
            script, file, *inner = command[2:]
            assert self.mounted
            assert inner[:2] == ["docker", "exec"]
            if "<" in script:
                assert inner.pop(2) == "--interactive"
            done = self._exec(inner[2:])
            if done.code == 0 and "<" in script:
                self.content = self.files[file]
            elif "dd of=" in script:
                self.files[file] = self.content if done.code == 0 and not self.full else ""
                if self.full:
                    return Done(1, "", f"dd: error writing '{file}': No space left on device\n")
            return done
        if command[0] == "mv":
            self.files = {path.replace(command[-2], last, 1): text for path, text in self.files.items()}
        elif command[0] == "rm" and last.startswith(folder):
            self.files = {path: text for path, text in self.files.items() if not path.startswith(f"{last}/")}
        elif command[0] == "test" and last.startswith(folder):
            return Done(0 if last in self.files else 1, "", "")
        elif command[0] != "sync":
            return None
        return Done(0, "", "")

    def _data(self, command: list[str]) -> Done:
        """Answer a command about the data volume."""
        done = Done(0, "", "")
        if command[0] == "mountpoint":
            return done if self.mounted else Done(32, "", "")
        if command[0] == "test":
            return done if command[2] in {*self.disks, *self.folders} else Done(1, "", "")
        if command[0] == "wipefs":
            assert "--no-act" in command
            kind = self.disks[command[-1]]
            return Done(1, "", "wipefs: error: Input/output error") if kind is None else Done(0, kind, "")
        if command[0] == "mkfs.ext4":
            assert self.disks[command[-1]] == "", "a volume with data is never formatted"
            self.disks[command[-1]] = "ext4"
        elif command[0] == "mount":
            assert self.disks[command[-2]] == "ext4"
            assert not self.mounted
            self.mounted = command[-2]
        elif command[0] == "resize2fs":
            assert self.mounted == command[-1]
            return done if self.grows else Done(1, "", "resize2fs: Permission denied")
        elif command[0] == "install":
            assert self.mounted, "data is never on the system's disk"
            self.folders.add(command[-1])
        elif command[0] == "touch":
            assert self.mounted
            self.folders.add(command[-1])
        elif command[0] == "rm":
            assert not [one for one in self.containers.values() if self.runs(one) and command[-1] in self._source(one)]
            self.folders.discard(command[-1])
        return done

    def _is_data(self, folder: Path) -> bool:
        return bool(self.mounted) and str(folder) in self.folders

    def _data_of(self, one: FakeContainer) -> bool:
        return f"source={DATA}/" in one.options.get("--mount", "")

    @staticmethod
    def _source(one: FakeContainer) -> list[str]:
        return one.options.get("--mount", "source=,").split("source=")[1].split(",")[:1]

    def _restore(self, given: str) -> None:
        if ":SLIPWAY-GUARD " in given:
            assert "-d 169.254.169.254" not in given, "after DNAT it has another destination"
            self.guarded = True
            return
        self.doors, self.accepted = {}, set()
        table = ""
        for line in given.splitlines():
            if line.startswith("*"):
                table = line
            elif "--to-destination" in line:
                assert table == "*nat"
                words = line.split()
                self.doors[int(words[words.index("--dport") + 1])] = words[-1]
            elif line.endswith("-j ACCEPT"):
                assert table == "*filter"
                words = line.split()
                address, port = words[words.index("-d") + 1].split("/")[0], words[words.index("--dport") + 1]
                self.accepted.add(f"{address}:{port}")

    def _iptables(self, command: list[str]) -> Done:
        assert command[1:3] == ["--wait", "10"]
        action, chain = command[5], command[6]
        if action == "-S":
            rules = [
                f"-A SLIPWAY -p tcp -m tcp --dport {port} -j DNAT --to-destination {where}\n"
                for port, where in self.doors.items()
            ]
            return Done(0, "-N SLIPWAY\n" + "".join(rules), "")
        if action == "-C":
            return Done(0 if (chain, command[-1]) in self.jumps else 1, "", "")
        assert action == "-I"
        self.jumps.add((chain, command[-1]))
        return Done(0, "", "")

    def _answer(self, address: str, port: int, path: str, seconds: float, domain: str | None = None) -> Answer:
        (one,) = [one for one in self.containers.values() if one.address == address and self.runs(one)] or (None,)
        if one is None:
            raise OSError(113, "No route to host")
        name = one.options["--label"].rpartition("=")[2]
        known = self.graph.services[name]
        if one.behaviour.hangs:
            self.time += seconds
            raise OSError("timed out")
        if known.edge and "DOMAIN" in one.environment and port in (80, 443):
            own = one.environment["DOMAIN"]
            certified = self.time >= self.certified.get(own, math.inf)
            if port == 443 and not (certified and domain == own):
                raise OSError("tlsv1 alert internal error")
            if port == 80 and certified:
                return Answer(308, {}, "")
            port = int(str(known.port))
        if port != (one.behaviour.port or known.port) or self.time < one.started + one.behaviour.ready_after / 2:
            raise ConnectionRefusedError(111, "Connection refused")
        if known.edge:
            for other in self.graph.services.values():
                if other.route and path.startswith(other.route):
                    upstream = one.environment[f"{other.name.upper()}_UPSTREAM"].split(":")
                    inner = path[len(other.route) :] if other.strip else path
                    try:
                        return self._answer(upstream[0], int(upstream[1]), inner, seconds)
                    except OSError:
                        return Answer(502, {}, "away")
        return self._own_answer(one, known.ready, path)

    def _own_answer(self, one: FakeContainer, ready: str | None, path: str) -> Answer:
        behaviour = one.behaviour
        says = one.environment["IMAGE_DIGEST"] if behaviour.says_digest == "" else behaviour.says_digest
        headers = {"x-image-digest": says} if says else {}
        if behaviour.breaks_after_turn and self.nat.startswith(one.address):
            return Answer(500, headers, "broken")
        if path == ready:
            is_ready = self.time >= one.started + behaviour.ready_after
            return Answer(behaviour.ready_status if is_ready else 503, headers, behaviour.ready_body)
        if path in ("/health", "/dashboard/health"):
            return Answer(behaviour.status.get(path, 200), headers, "ok")
        return Answer(behaviour.status.get(path, 401), headers, "")


def make(folder: Path, services: Mapping[str, Any] | None = None, **changes: Any) -> tuple[Host, FakeMachine, FakeAws]:
    """Return a host whose machine and AWS are stand-ins."""
    graph = parse(graph_json(services, **changes))
    machine, aws = FakeMachine(graph), FakeAws()
    store = Store(folder / "lib", folder / "run", folder / "units", machine.now)
    store.prepare()
    program = folder / "lib" / "programs" / f"{PROGRAM}.pyz"
    program.write_text("")
    return Host(graph, str(program), store, machine, aws, say=lambda line: None), machine, aws
