"""The Docker engine as the data plane uses it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from devcloud.machines.containers import (
    CLOUD_LABEL,
    GROUPS_LABEL,
    INSTANCE_LABEL,
    SETTINGS,
    STOP_SECONDS,
    Place,
    Wanted,
    create,
    files,
    name_of,
    states,
    update,
)
from devcloud.machines.inbound import RESTORE, members_of
from devcloud.util.processes import output, traced

STATES = f'{{{{.Label "{INSTANCE_LABEL}"}}}} {{{{.State}}}}'


class Engine:
    """Docker's client, with the containers of one cloud's instances."""

    def __init__(self, docker: Path, place: Place) -> None:
        self.docker = docker
        self.place = place

    def states(self) -> dict[str, str]:
        """Return the state of each container (`created`, `running`, `exited`) by instance id."""
        filters = ["--filter", f"label={CLOUD_LABEL}={self.place.cloud}", "--filter", f"label={INSTANCE_LABEL}"]
        return states(self._docker("ps", "--all", *filters, "--format", STATES).splitlines())

    def create(self, wanted: Wanted) -> None:
        """Make an instance's container with its files, and leave it stopped."""
        self.remove(wanted.id)
        self._docker(*create(self.place, wanted))
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), files(self.place, wanted))
            self._docker("cp", f"{folder}/.", f"{name_of(self.place, wanted.id)}:/")

    def start(self, wanted: Wanted) -> str:
        """Start an instance's container, within the limits of its type. Return its address on the cloud's network."""
        self._docker(*update(self.place, wanted))
        self._docker("start", name_of(self.place, wanted.id))
        return self.address(wanted.id)

    def address(self, instance_id: str) -> str:
        """Return a container's address on the cloud's network; empty if it does not run."""
        template = f'{{{{(index .NetworkSettings.Networks "{self.place.network}").IPAddress}}}}'
        return self._docker("inspect", "--format", template, name_of(self.place, instance_id)).strip()

    def exit_code(self, instance_id: str) -> int:
        """Return the exit code of a container that has stopped."""
        return int(self._docker("inspect", "--format", "{{.State.ExitCode}}", name_of(self.place, instance_id)))

    def show(self, instance_id: str, node: str, major: int, minor: int) -> None:
        """Let a running host have a disk of this machine's at `node`."""
        script = f"rm -f {node} && mknod -m 660 {node} b {major} {minor}"
        self._docker("exec", name_of(self.place, instance_id), "sh", "-c", script)

    def hide(self, instance_id: str, node: str) -> None:
        """Take a disk from a running host."""
        self._docker("exec", name_of(self.place, instance_id), "rm", "-f", node)

    def members(self) -> dict[str, list[str]]:
        """Return the addresses of the tasks that carry each security group."""
        filters = ["--filter", f"label={CLOUD_LABEL}={self.place.cloud}", "--filter", f"label={GROUPS_LABEL}"]
        labels = self._docker("ps", *filters, "--format", f'{{{{.Names}}}} {{{{.Label "{GROUPS_LABEL}"}}}}')
        if not labels.strip():
            return {}
        network = self._docker("network", "inspect", "--format", "{{json .Containers}}", self.place.network)
        return members_of(labels.splitlines(), json.loads(network))

    def guard(self, instance_id: str, rules: str) -> None:
        """Let a running host's network take the rules of its security groups, all at once."""
        name = name_of(self.place, instance_id)
        self._docker("exec", "--interactive", name, *RESTORE, stdin=rules)

    def stop(self, instance_id: str) -> None:
        """Shut a host down; cut its power if that takes too long."""
        self._docker("stop", name_of(self.place, instance_id), timeout=STOP_SECONDS + 60)

    def remove(self, instance_id: str) -> None:
        """Delete a container and its disk, whether or not there is one."""
        self._docker("rm", "--force", "--volumes", name_of(self.place, instance_id), may_fail=True)

    def follow(self, instance_id: str, since: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Write what a container's console shows to a file, as it comes."""
        command = [str(self.docker), "logs", "--follow", "--since", since, name_of(self.place, instance_id)]
        return subprocess.Popen(traced(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def _docker(self, *arguments: str, timeout: float = 120, may_fail: bool = False, stdin: str | None = None) -> str:
        if not may_fail:
            return output([str(self.docker), *arguments], timeout=timeout, stdin=stdin)
        command = [str(self.docker), *arguments]
        subprocess.run(traced(command), capture_output=True, timeout=timeout, check=False)
        return ""


def cgroup_version(docker: Path) -> int:
    """Return which control groups the engine's machine has."""
    return int(output([str(docker), "info", "--format", "{{.CgroupVersion}}"]).strip() or 1)


def write(folder: Path, content: Mapping[str, str]) -> None:
    """Write a host's files to a folder, with the modes that `docker cp` gives them on the host."""
    for path, text in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        if path == SETTINGS:
            (folder / path).chmod(0o600)
