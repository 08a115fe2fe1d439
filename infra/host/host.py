"""The host: its files, its machine, AWS and the graph, with the few things that every command needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infra.host import docker
from infra.host.aws import Aws, AwsError
from infra.host.graph import Graph
from infra.host.machine import Done, Machine
from infra.host.outcome import HostError
from infra.host.store import Store

PATIENCE_SECONDS = 30
"""How long a service that is away is asked again: AWS, a registry, DNS, Docker while it restarts."""
PAUSE_SECONDS = 1.0
LOG_LINES = 40
CLOCK_CODES = ("RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired")
DENIED_CODES = ("AccessDenied", "AccessDeniedException")
"""Retried too: IAM is eventually consistent, so that a new role or policy is denied for some seconds."""
RETRIED_CODES = ("", "ThrottlingException", "Throttling", "InternalServerError", "ServiceUnavailable", *DENIED_CODES)

Result = TypeVar("Result")


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@dataclass(frozen=True)
class Host:
    """The surroundings that a command works in."""

    graph: Graph
    program: str
    """Path of the packed program that runs."""
    store: Store
    machine: Machine
    aws: Aws
    say: Callable[[str], None] = _print
    """Takes a line of progress."""

    @property
    def program_name(self) -> str:
        """The program's name, which a release names too."""
        return Path(self.program).stem

    def run_docker(self, command: Sequence[str], *, seconds: float = 60, undo: Sequence[str] = ()) -> Done:
        """Run a command of Docker; while no engine answers, such as in its restart, try again.

        `undo` takes back, before a new try, what one without an answer may have done.
        """
        end = self.machine.now() + PATIENCE_SECONDS
        while True:
            done = self.machine.run(command, seconds=seconds)
            if done.code == 0 or not docker.unreachable(done.stderr):
                return done
            if self.machine.now() >= end:
                raise HostError(
                    f"Docker did not answer for {PATIENCE_SECONDS} s ({docker.last_line(done.stderr)}): look at "
                    "`systemctl status docker` on the host."
                )
            self.machine.sleep(PAUSE_SECONDS)
            if undo:
                self.machine.run(undo, seconds=seconds)

    def must(self, command: Sequence[str], purpose: str, *, given: str | None = None, seconds: float = 60) -> str:
        """Run a command that has to succeed and return its output. Raises HostError, which names the purpose."""
        if command[0] == "docker":
            done = self.run_docker(command, seconds=seconds)
        else:
            done = self.machine.run(command, given=given, seconds=seconds)
        if done.code != 0:
            raise HostError(f"{purpose} failed: {docker.last_line(done.stderr)}.")
        return done.stdout

    def states(self, containers: Sequence[str]) -> dict[str, docker.State]:
        """Return the states of containers; those that do not exist are left out."""
        if not containers:
            return {}
        # The command fails if one does not exist, and prints the others.
        return docker.states(self.run_docker(docker.inspect(containers)).stdout)

    def containers(self, *, running: bool = False) -> list[str]:
        """Return the names of the stack's containers."""
        return self.must(docker.names(self.graph.name, running=running), "Listing the containers").split()

    def log_end(self, container: str) -> str:
        """Return the end of a container's log."""
        done = self.run_docker(docker.logs(container, LOG_LINES))
        return (done.stdout + done.stderr).strip()

    def ask_aws(self, call: Callable[[], Result], purpose: str) -> Result:
        """Make a call to AWS; while AWS is away or denies it, try again. Raises HostError, which names the purpose."""
        end = self.machine.now() + PATIENCE_SECONDS
        while True:
            try:
                return call()
            except AwsError as error:
                if error.code in RETRIED_CODES and self.machine.now() < end:
                    self.machine.sleep(PAUSE_SECONDS)
                    continue
                hint = ": the host's clock may be wrong (`chronyc tracking`)" if error.code in CLOCK_CODES else ""
                raise HostError(f"{purpose} failed: AWS {error}{hint}.") from None

    @property
    def login_folder(self) -> Path:
        """The folder of Docker's logins, in memory."""
        return self.store.memory / "docker"

    def credentials_folder(self, service: str) -> Path:
        """Return the folder of a service's credentials, in memory."""
        return self.store.memory / "credentials" / service
