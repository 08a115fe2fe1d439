"""Docker's command lines and answers, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABEL = "slipway"
"""Each container of the host carries it, with the name of the stack."""
STARTING_WEIGHT, SERVING_WEIGHT = 512, 1024
"""CPU weights: what starts must not slow down what serves."""
MAX_PROCESSES = 512
TEMPORARY = "/tmp:rw,nosuid,nodev,size=64m"  # noqa: S108 - a folder inside the container
UNREACHABLE = ("Cannot connect to the Docker daemon", "error during connect", "docker.sock: connect:")


@dataclass(frozen=True)
class Mount:
    """A folder of the host in a container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Container:
    """The options that a container is started with."""

    name: str
    image: str
    stack: str
    service: str
    address: str
    memory_mib: int
    stop_seconds: int
    environment_file: str
    user: int | None = None
    alias: str | None = None
    """A name by which the other containers reach it."""
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[str, ...] = ()
    publish: str | None = None
    """`address:port:port`: the host's address at which its port is reached too."""
    command: tuple[str, ...] = ()


def run(container: Container) -> list[str]:
    """Return the command that starts a container in the background.

    It does not restart: a container that is not proven yet shall stay down when it dies. `promote` changes that.
    """
    memory = f"{container.memory_mib}m"
    command = [
        *("docker", "run", "--detach", "--pull", "never", "--name", container.name),
        *("--network", container.stack, "--ip", container.address),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", TEMPORARY),
        # Equal limits of memory, and of memory and swap: no swap.
        *("--memory", memory, "--memory-swap", memory, "--pids-limit", str(MAX_PROCESSES)),
        *("--cpu-shares", str(STARTING_WEIGHT), "--restart", "no"),
        *("--stop-timeout", str(container.stop_seconds)),
        *("--log-driver", "local", "--log-opt", "max-size=4m", "--log-opt", "max-file=3"),
        *("--label", f"{LABEL}={container.stack}", "--label", f"{LABEL}.service={container.service}"),
        *("--env-file", container.environment_file),
    ]
    if container.user is not None:
        command += ["--user", str(container.user)]
    if container.alias is not None:
        command += ["--network-alias", container.alias]
    for mount in container.mounts:
        mode = ",readonly" if mount.read_only else ""
        command += ["--mount", f"type=bind,source={mount.source},target={mount.target}{mode}"]
    for folder in container.tmpfs:
        # The mode of a folder that only its image's user may write to would keep any other user out.
        command += ["--tmpfs", f"{folder}:rw,nosuid,nodev,mode=1777,size=16m"]
    if container.publish is not None:
        command += ["--publish", container.publish]
    return [*command, container.image, *container.command]


def execute(name: str, command: Sequence[str], *, interactive: bool = False) -> list[str]:
    """Return the command that runs another one in a container, with the container's user and environment.

    An interactive one reads the standard input.
    """
    return ["docker", "exec", *(["--interactive"] if interactive else []), name, *command]


def promote(names: Sequence[str]) -> list[str]:
    """Return the command that gives containers their full CPU weight, and has Docker restart them after a crash."""
    return ["docker", "update", "--restart", "unless-stopped", "--cpu-shares", str(SERVING_WEIGHT), *names]


def start(name: str) -> list[str]:
    """Return the command that starts a container that exists."""
    return ["docker", "start", name]


def stop(names: Sequence[str], seconds: int) -> list[str]:
    """Return the command that sends SIGTERM and waits for the containers to end, and kills them after some seconds."""
    return ["docker", "stop", "--time", str(seconds), *names]


def restart(name: str, seconds: int) -> list[str]:
    """Return the command that stops a container as `stop` does, and starts it again."""
    return ["docker", "restart", "--time", str(seconds), name]


def remove(names: Sequence[str]) -> list[str]:
    """Return the command that kills and removes containers; it ignores those that do not exist."""
    return ["docker", "rm", "--force", "--volumes", *names]


def names(stack: str, *, running: bool = False) -> list[str]:
    """Return the command that lists the names of the stack's containers."""
    every = [] if running else ["--all"]
    return ["docker", "ps", *every, "--filter", f"label={LABEL}={stack}", "--format", "{{.Names}}"]


def inspect(containers: Sequence[str]) -> list[str]:
    """Return the command that describes containers."""
    return ["docker", "container", "inspect", *containers]


def memory(containers: Sequence[str]) -> list[str]:
    """Return the command that prints the memory of running containers, a line each: name, used, limit."""
    return ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *containers]


def logs(name: str, lines: int) -> list[str]:
    """Return the command that shows the end of a container's log."""
    return ["docker", "logs", "--tail", str(lines), name]


def logs_between(name: str, since: str, until: str = "") -> list[str]:
    """Return the command that shows a container's log of some time, each line with its own time in front."""
    limits = [part for option, value in (("--since", since), ("--until", until)) if value for part in (option, value)]
    return ["docker", "logs", "--timestamps", *limits, name]


def pull(image: str, config: str) -> list[str]:
    """Return the command that pulls an image with the logins of a folder."""
    return ["docker", "--config", config, "pull", "--quiet", image]


def inspect_image(image: str) -> list[str]:
    """Return the command that prints an image's architecture; it fails if the image is not on the host."""
    return ["docker", "image", "inspect", "--format", "{{.Architecture}}", image]


def user_of_image(image: str) -> list[str]:
    """Return the command that prints the user and group that an image runs as."""
    return ["docker", "image", "inspect", "--format", "{{.Config.User}}", image]


def images() -> list[str]:
    """Return the command that lists the images with a digest, as repository@digest."""
    return ["docker", "image", "ls", "--digests", "--no-trunc", "--format", "{{.Repository}}@{{.Digest}}"]


def remove_image(image: str) -> list[str]:
    """Return the command that removes an image; Docker refuses it while a container uses it."""
    return ["docker", "image", "rm", image]


def root_folder() -> list[str]:
    """Return the command that prints the folder of Docker's data."""
    return ["docker", "info", "--format", "{{.DockerRootDir}}"]


def inspect_network(stack: str) -> list[str]:
    """Return the command that prints the range of the stack's network; it fails if there is no such network."""
    return ["docker", "network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", stack]


def create_network(stack: str, subnet: str) -> list[str]:
    """Return the command that creates the stack's network."""
    return ["docker", "network", "create", "--driver", "bridge", "--subnet", subnet, stack]


@dataclass(frozen=True)
class State:
    """A container's state."""

    running: bool
    exit_code: int
    out_of_memory: bool
    restarts: int
    pid: int
    started: str


def states(text: str) -> dict[str, State]:
    """Return the states that `inspect` printed, by the containers' names; those that do not exist are left out."""
    entries: list[Mapping[str, Any]] = json.loads(text) if text.strip() else []
    return {
        str(entry["Name"]).lstrip("/"): State(
            running=entry["State"]["Running"] and not entry["State"]["Restarting"],
            exit_code=entry["State"]["ExitCode"],
            out_of_memory=entry["State"]["OOMKilled"],
            restarts=entry["RestartCount"],
            pid=entry["State"]["Pid"],
            started=entry["State"]["StartedAt"],
        )
        for entry in entries
    }


def environments(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the service and the environment of each container that `inspect` printed."""
    entries: list[Mapping[str, Any]] = json.loads(text) if text.strip() else []
    return [
        (
            entry["Config"]["Labels"].get(f"{LABEL}.service", ""),
            dict(variable.partition("=")[::2] for variable in entry["Config"]["Env"] or ()),
        )
        for entry in entries
    ]


def unreachable(stderr: str) -> bool:
    """Return True if a command failed because no engine answered."""
    return any(text in stderr for text in UNREACHABLE)


def last_line(text: str) -> str:
    """Return the last line that says something, without Docker's prefix and its advice."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "--help" not in line]
    return lines[-1].replace("docker: ", "").rstrip(".")[:400] if lines else "no message"
