"""The Docker engine: the machine's own where one runs, else one that devcloud starts; and the containers in it."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.supervisor import Program, Supervisor
from devcloud.machines.containers import CLOUD_LABEL as LABEL
from devcloud.machines.containers import GROUPS_LABEL, INSTANCE_LABEL
from devcloud.toolchain import Toolchain
from devcloud.toolchain.host_image import HostImage
from devcloud.util.console import UserError, row
from devcloud.util.locks import locked
from devcloud.util.processes import output, traced, unmount_below
from devcloud.util.waiting import wait_until


@dataclass(frozen=True)
class Container:
    """What a container is started with, in Docker's words."""

    name: str
    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    memory_mib: int | None = None
    cpus: float | None = None
    publish: int | None = None
    """A port of the container to publish on a free port of 127.0.0.1."""
    user: str | None = None
    groups: Sequence[str] = ()
    """The security groups of its network interface."""
    network_of: str | None = None
    """A container whose network it shares."""
    capabilities: Sequence[str] = ()


class DockerEngine:
    """A Docker engine and the containers of one cloud in it."""

    def __init__(self, cloud: Cloud, toolchain: Toolchain) -> None:
        self.cloud = cloud
        self.toolchain = toolchain
        self._supervisor = Supervisor(cloud.cache / "engine")

    def start(self) -> None:
        """Have an engine running, and this cloud's network in it."""
        host = self.cloud.cache / "engine" / "host"
        host.parent.mkdir(parents=True, exist_ok=True)
        if self.toolchain.dockerd is None:
            found = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
            if found != f"unix://{self.cloud.docker_socket}":
                host.write_text(found)
        else:
            host.unlink(missing_ok=True)
            with self._alone():
                self._start_own(self.toolchain.dockerd)
        if not self._docker("network", "ls", "-q", "--filter", f"name=^{self.cloud.network}$").strip():
            self._docker("network", "create", "--label", f"{LABEL}={self.cloud.name}", self.cloud.network)

    def _start_own(self, dockerd: Path) -> None:
        folder = self._supervisor.folder
        (folder / "clouds").mkdir(parents=True, exist_ok=True)
        (folder / "clouds" / self.cloud.name).touch()
        command = [
            *(str(dockerd), "--host", f"unix://{self.cloud.docker_socket}"),
            *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
            *("--pidfile", str(folder / "docker.pid"), "--log-level", "warn"),
        ]
        program = Program(
            *("dockerd", command, 1),
            environment={"PATH": f"{self.toolchain.bin}{os.pathsep}{os.environ['PATH']}"},
            title="the Docker engine",
            listens=self.cloud.docker_socket,
            patience=60,
        )
        if not self._supervisor.running():
            (folder / "docker.pid").unlink(missing_ok=True)
            self._supervisor.start([program])
        self._supervisor.bring_up([program])
        if not wait_until(self._answers, 30, pause=0.2):
            raise UserError(
                f"The Docker engine did not answer within 30 s; its log is {self._supervisor.logs / 'dockerd.log'}."
            )

    def _answers(self) -> bool:
        with contextlib.suppress(UserError):
            return bool(self._docker("version", "--format", "{{.Server.Version}}"))
        return False

    def running(self) -> bool:
        """Whether an engine of devcloud's, or the machine's own, can be asked."""
        return self.toolchain.dockerd is None or self._supervisor.running()

    def stop(self) -> None:
        """Remove this cloud's containers and network; end devcloud's own engine where no other cloud uses it."""
        if self.running():
            filters = ("--filter", f"label={LABEL}={self.cloud.name}")
            containers = self._docker("ps", "-aq", *filters).split()
            if containers:
                self._docker("rm", "--force", "--volumes", *containers)
            networks = self._docker("network", "ls", "-q", *filters).split()
            if networks:
                self._docker("network", "rm", *networks)
        with self._alone():
            users = self._supervisor.folder / "clouds"
            (users / self.cloud.name).unlink(missing_ok=True)
            # Asked, not concluded: an engine of the machine's own may have come up beside ours.
            if self._supervisor.running() and not any(users.iterdir()):
                self._supervisor.stop()
                unmount_below(self._supervisor.folder)

    def clean(self) -> None:
        """Delete what devcloud's own engine kept, images above all, once no cloud uses it."""
        users = self._supervisor.folder / "clouds"
        with self._alone():
            if not self._supervisor.running() and not (users.exists() and any(users.iterdir())):
                unmount_below(self._supervisor.folder)
                shutil.rmtree(self._supervisor.folder, ignore_errors=True)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """No other cloud starts, ends or deletes the engine meanwhile: all of them share it."""
        return locked(self.cloud.cache / "engine.lock", lambda: row("docker", "waiting for another make"))

    def gateway(self) -> str:
        """The address of this machine as the cloud's containers see it."""
        template = "{{(index .IPAM.Config 0).Gateway}}"
        return self._docker("network", "inspect", "--format", template, self.cloud.network).strip()

    def pull(self, image: str) -> None:
        """Pull an image by its digest, unless the engine has it."""
        if not self._docker("images", "-q", "--no-trunc", image).strip():
            self._docker("pull", "--quiet", image, timeout=600)

    def have_host_image(self, image: HostImage) -> None:
        """Have the image that EC2's instances boot, made of its archive and files if the engine lacks it."""
        if self._docker("images", "-q", image.name).strip():
            return
        if not self._docker("images", "-q", image.base_name).strip():
            self._docker("import", str(image.base.archives[-1]), image.base_name, timeout=600)
        # Docker's older builder: it needs no plugin, and any engine has it.
        environment = {"DOCKER_BUILDKIT": "0"}
        command = ["build", "--quiet", "--network", "none", "--tag", image.name, "--file", "-", str(image.files)]
        self._docker(*command, secrets=environment, stdin=image.dockerfile)

    def hosts(self) -> dict[str, str]:
        """Return how the container of each EC2 instance stands, by the instance's id."""
        if not self.running():
            return {}
        filters = ("--filter", f"label={LABEL}={self.cloud.name}", "--filter", f"label={INSTANCE_LABEL}")
        template = f'{{{{.Label "{INSTANCE_LABEL}"}}}}\t{{{{.Status}}}}'
        lines = self._docker("ps", "--all", *filters, "--format", template).splitlines()
        return dict(line.split("\t", 1) for line in lines)

    def address(self, name: str) -> str:
        """Return a container's address on the cloud's network."""
        template = f'{{{{(index .NetworkSettings.Networks "{self.cloud.network}").IPAddress}}}}'
        return self._docker("inspect", "--format", template, name).strip()

    def run(self, container: Container, *, detach: bool, timeout: float = 120, stdin: str | None = None) -> str:
        """Run a container as the platform would: read-only, without capabilities, within its limits.

        `stdin` goes to its standard input. Returns its standard output, or its id where detached. Raise UserError if
        it fails.
        """
        arguments = ["run", "--name", container.name, "--label", f"{LABEL}={self.cloud.name}"]
        if container.network_of:
            arguments += ["--network", f"container:{container.network_of}"]
        else:
            arguments += ["--network", self.cloud.network, "--add-host", f"host.docker.internal:{self.gateway()}"]
        arguments += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        arguments += ["--tmpfs", "/tmp"]  # noqa: S108  inside the container
        arguments += [word for name in container.capabilities for word in ("--cap-add", name)]
        if container.memory_mib:
            # As much swap as memory means none: a cloud's host has none either.
            arguments += ["--memory", f"{container.memory_mib}m", "--memory-swap", f"{container.memory_mib}m"]
        if container.cpus:
            arguments += ["--cpus", str(container.cpus)]
        if container.publish:
            arguments += ["--publish", f"127.0.0.1::{container.publish}"]
        if container.groups:
            arguments += ["--label", f"{GROUPS_LABEL}={','.join(container.groups)}"]
        if container.user:
            arguments += ["--user", container.user]
        for name in container.environment:
            # The value is passed through our environment, not on a command line that every user can read.
            arguments += ["--env", name]
        arguments += ["--detach"] if detach else ["--rm"]
        arguments += ["--interactive"] if stdin is not None else []
        return self._docker(
            *arguments, container.image, *container.command, timeout=timeout, secrets=container.environment, stdin=stdin
        )

    def published(self, container: str, port: int) -> int:
        """The port of 127.0.0.1 that a container's port is published on."""
        return int(self._docker("port", container, str(port)).splitlines()[0].rpartition(":")[2])

    def stop_container(self, name: str, grace_seconds: int = 30) -> int:
        """Ask a container to end, wait, remove it; its exit code."""
        self._docker("stop", "--time", str(grace_seconds), name, timeout=grace_seconds + 30)
        code = int(self._docker("inspect", "--format", "{{.State.ExitCode}}", name))
        self._docker("rm", "--force", name)
        return code

    def remove(self, name: str) -> None:
        """Remove a container whether or not there is one."""
        with contextlib.suppress(UserError):
            self._docker("rm", "--force", "--volumes", name)

    def logs(self, name: str, lines: int = 20) -> str:
        """The end of what a container printed."""
        done = subprocess.run(
            traced([str(self.toolchain.docker), "logs", "--tail", str(lines), name]),
            env=self._environment({}),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return (done.stdout + done.stderr).strip()

    def inspect(self, kind: str, name: str) -> dict[str, object]:
        """What the engine knows of an image or container."""
        found: list[dict[str, object]] = json.loads(self._docker(kind, "inspect", name))
        return found[0]

    def _docker(
        self, *arguments: str, timeout: float = 120, secrets: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> str:
        command = [str(self.toolchain.docker), *arguments]
        return output(command, env=self._environment(secrets or {}), timeout=timeout, stdin=stdin)

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        folder = str(self.cloud.folder / "docker")
        return {**os.environ, "DOCKER_HOST": self.cloud.docker_host(), "DOCKER_CONFIG": folder, **extra}
