"""A stand-in for the host: Docker, iptables, systemd, time and AWS, strict about every command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.host.aws import AwsError, Login
from infra.host.graph import Graph, parse
from infra.host.host import Host
from infra.host.machine import Done
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
        "memoryMib": 1000,
        "seconds": {"pull": 300, "once": 120, "ready": 45, "steady": 6, "watch": 5, "request": 130},
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
    refuses: str = ""
    """The message of `docker run`, if it fails."""
    breaks_after_turn: bool = False


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
    nat: str = ""
    accepted: str = ""
    jumps: set[tuple[str, str]] = field(default_factory=set)
    """Chains that lead to others."""
    guarded: bool = False
    """Whether the containers are kept from the host."""
    memory: int = 900
    disk: int = 5000
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

    def get(self, address: str, port: int, path: str, seconds: float) -> Answer:
        self.time += 0.01
        if (address, port) == (OWN, PUBLIC):
            if not self.nat or ("PREROUTING", "SLIPWAY") not in self.jumps:
                raise ConnectionRefusedError(111, "Connection refused")
            address, port = self.nat.split(":")[0], int(self.nat.split(":")[1])
            if self.accepted != f"{address}:{port}":
                raise OSError("timed out")
        return self._answer(address, port, path, seconds)

    def connects(self, address: str, port: int, seconds: float) -> bool:
        listening = [one for one in self.containers.values() if one.address == address and self.runs(one)]
        return any(self.time >= one.started + one.behaviour.ready_after / 2 for one in listening)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def free_memory_mib(self) -> int:
        return self.memory

    def free_disk_mib(self, folder: str) -> int:
        assert folder == "/var/lib/docker"
        return self.disk

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
        self.nat, self.accepted, self.jumps, self.guarded, self.mounted = "", "", set(), False, None
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
        reference = command.pop()
        name, file = options["--name"], Path(options["--env-file"])
        assert not command
        assert options["--pull"] == "never"
        assert options["--cap-drop"] == "ALL"
        assert options["--security-opt"] == "no-new-privileges"
        assert options["--memory"] == options["--memory-swap"]
        assert "--read-only" in options
        assert "--publish" not in options
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
            name, reference, options["--ip"], environment, options, self.time, behaviour
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

    def _logs(self, command: list[str]) -> Done:
        return Done(0, self.containers[command[-1]].behaviour.log, "")

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
        if command[0] in ("mountpoint", "test", "wipefs", "mkfs.ext4", "mkdir", "mount", "resize2fs", "install"):
            return self._data(command)
        if command[0] == sys.executable and self.other_program:
            self.other_program(command)
            return Done(0, "", "")
        if command[0] == "systemctl":
            return self._systemctl(command)
        assert command[0] == "systemd-run", command
        if self.unit_active or self.unit_restarts_at is not None:
            return Done(1, "", "Failed to start transient service unit: Unit slipway-release.service already exists.")
        self.unit_active = True
        return Done(0, "", "")

    def _systemctl(self, command: list[str]) -> Done:
        if command[1] != "is-active":
            return Done(0, "", "")
        if self.unit_restarts_at is not None and self.time >= self.unit_restarts_at:
            self.unit_active, self.unit_restarts_at = True, None
        state = "active" if self.unit_active else "activating" if self.unit_restarts_at else "inactive"
        return Done(0 if self.unit_active else 3, f"{state}\n", "")

    def _data(self, command: list[str]) -> Done:
        """Answer a command about the data volume."""
        done = Done(0, "", "")
        if command[0] == "mountpoint":
            return done if self.mounted else Done(32, "", "")
        if command[0] == "test":
            return done if command[2] in self.disks else Done(1, "", "")
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
        return done

    def _is_data(self, folder: Path) -> bool:
        return bool(self.mounted) and str(folder) in self.folders

    def _data_of(self, one: FakeContainer) -> bool:
        return f"source={DATA}/" in one.options.get("--mount", "")

    def _restore(self, given: str) -> None:
        if ":SLIPWAY-GUARD " in given:
            assert "-d 169.254.169.254" not in given, "after DNAT it has another destination"
            self.guarded = True
            return
        self.nat = self.accepted = ""
        table = ""
        for line in given.splitlines():
            if line.startswith("*"):
                table = line
            elif "--to-destination" in line:
                assert table == "*nat"
                assert f"--dport {PUBLIC} " in line
                self.nat = line.rpartition(" ")[2]
            elif line.endswith("-j ACCEPT"):
                assert table == "*filter"
                words = line.split()
                self.accepted = f"{words[words.index('-d') + 1].split('/')[0]}:{words[words.index('--dport') + 1]}"

    def _iptables(self, command: list[str]) -> Done:
        assert command[1:3] == ["--wait", "10"]
        action, chain = command[5], command[6]
        if action == "-S":
            rule = f"-A SLIPWAY -p tcp -m tcp --dport {PUBLIC} -j DNAT --to-destination {self.nat}\n"
            return Done(0, f"-N SLIPWAY\n{rule if self.nat else ''}", "")
        if action == "-C":
            return Done(0 if (chain, command[-1]) in self.jumps else 1, "", "")
        assert action == "-I"
        self.jumps.add((chain, command[-1]))
        return Done(0, "", "")

    def _answer(self, address: str, port: int, path: str, seconds: float) -> Answer:
        (one,) = [one for one in self.containers.values() if one.address == address and self.runs(one)] or (None,)
        if one is None:
            raise OSError(113, "No route to host")
        name = one.options["--label"].rpartition("=")[2]
        known = self.graph.services[name]
        if one.behaviour.hangs:
            self.time += seconds
            raise OSError("timed out")
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
