"""A checkout and a cloud of the tests' own: nothing here touches the developer's tree, or what `make up` left running.

The cloud `test` keeps its build cache between sessions, as `default` does; its emulator and stacks begin empty.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from devcloud.bootstrap import cache_folder
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import DockerEngine
from devcloud.cloud.services import Services
from devcloud.images.registry import RegistryReader
from devcloud.plugins.bridges import stop_bridges
from devcloud.toolchain import Toolchain, ensure
from devcloud.util.processes import alive, output
from devcloud.util.repository import copy_repository
from tests.cloud.reliability import WANTED, Report

if TYPE_CHECKING:
    from tests.cloud.releases import Release

CLOUD = "test"
FIRST_SECONDS = 30.0
"""A first `up` is killed somewhere in these: the cloud starts in them, and the first resources are made."""
LATEST_SECONDS = 60.0
"""A stack that is new on a cloud which runs is killed before this: by then it is up, or nearly."""
UP_TIMEOUT_SECONDS = 1800
"""A first `up` builds everything; CI ends a run after 90 minutes."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    said: str


class Checkout:
    """A copy of this repository, and its commands on the tests' cloud."""

    def __init__(self, root: Path, cloud: str = CLOUD) -> None:
        self.root = root
        self.cloud = Cloud(cloud, cache_folder())

    @classmethod
    def on(cls, cloud: str) -> "Checkout":
        """The copy that a cloud of the tests' has in its folder."""
        return cls(cache_folder() / "clouds" / cloud / "checkout", cloud)

    def copy(self) -> None:
        """Bring the copy to this repository's state, as a repository of its own."""
        copy_repository(self.root)
        self.git("init", "--quiet")
        self.commit("copy")

    def git(self, *arguments: str) -> str:
        """Run git in the copy."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def run(self, command: str, *arguments: str, stack: str = "local", timeout: float = UP_TIMEOUT_SECONDS) -> Done:
        """Run a command of devcloud's, as the Makefile does; what it said goes to the test's report too."""
        done = subprocess.run(
            self.call(command, *arguments, stack=stack),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        sys.stdout.write(done.stdout)
        return Done(done.returncode, done.stdout)

    def call(self, command: str, *arguments: str, stack: str = "local") -> list[str]:
        """The command line of a command of devcloud's."""
        program = [sys.executable, "devcloud/bootstrap.py", "devcloud", command]
        return [*program, "--cloud", self.cloud.name, "--stack", stack, *arguments]

    def environment(self) -> dict[str, str]:
        """The person's environment."""
        return {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "PYTHONPATH"))}

    def up(self, stack: str = "local", *arguments: str) -> Done:
        """Bring a stack up; must succeed."""
        done = self.run("up", *arguments, stack=stack)
        assert done.code == 0, done.said
        return done

    def kill(self, seconds: float, victims: str, stack: str = "local") -> None:
        """Start an `up` and kill -9 `the command`, `the engine`, or `all` that it started, after so many seconds."""
        process = subprocess.Popen(
            self.call("up", stack=stack),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        started = descendants(process.pid)
        chosen = {"the command": [process.pid], "the engine": started[:1], "all": [process.pid, *started]}[victims]
        sys.stdout.write(f"kill -9 of {victims} ({len(chosen)} processes) after {seconds:.1f} s\n")
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=UP_TIMEOUT_SECONDS)

    def outputs(self, stack: str = "local") -> dict[str, Any]:
        """A stack's outputs, from the command for scripts: nothing else may be on its standard output."""
        done = subprocess.run(
            self.call("outputs", stack=stack),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def planned(self, stack: str = "local", *arguments: str) -> dict[str, str]:
        """What a preview would do to each resource that would not stay as it is, by name."""
        done = subprocess.run(
            self.call("preview", "--json", *arguments, stack=stack),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        steps = json.loads(done.stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] not in ("same", "read")}

    def end(self) -> None:
        """End the cloud as it stands: what is in its emulator goes, and the stacks' states with it."""
        stop_bridges(self.cloud.folder / "bridge")
        Services(self.cloud, self.tools).stop()

    @cached_property
    def tools(self) -> Toolchain:
        """Every tool, as the commands found it."""
        return ensure(self.cloud.cache, lambda _: None)

    @property
    def engine(self) -> DockerEngine:
        """The Docker engine that the cloud's containers run in."""
        return Services(self.cloud, self.tools).engine

    def docker_environment(self) -> dict[str, str]:
        """What aims a Docker client at that engine."""
        config = str(self.cloud.folder / "docker")
        return {**self.environment(), "DOCKER_HOST": self.cloud.docker_host(), "DOCKER_CONFIG": config}

    def docker(self, *arguments: str, timeout: float = 300, stdin: str | None = None) -> Done:
        """Run Docker's client; `stdin` goes to its standard input."""
        done = subprocess.run(
            [str(self.tools.docker), *arguments],
            env=self.docker_environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def ask_buildkit(
        self, request: str, folder: Path, dockerfile: str, arguments: Mapping[str, str], target: str = ""
    ) -> str:
        """Return the answer of BuildKit's Dockerfile frontend to a request other than a build."""
        command = [
            *(str(self.tools.buildctl), "--addr", self.cloud.buildkit_address, "build", "--frontend", "dockerfile.v0"),
            *("--progress", "plain", "--opt", f"requestid={request}", "--opt", f"filename={dockerfile}"),
            *("--local", f"context={folder}", "--local", f"dockerfile={folder}", "--opt", f"target={target}"),
        ]
        command += [word for key, value in arguments.items() for word in ("--opt", f"build-arg:{key}={value}")]
        # buildctl finds the login of the cloud's registry by DOCKER_CONFIG.
        return output(command, env=self.docker_environment())

    def on_host(self, service: str, *arguments: str, stack: str = "local") -> Done:
        """Run Docker's client on the stack's host; `{}` in the arguments stands for the container of a service."""
        instance = f"{self.cloud.network}-{self.outputs(stack)['apiInstanceId']}"
        listed = self.docker("exec", instance, "docker", "ps", "--format", "{{.Names}}").said.split()
        (container,) = [name for name in listed if name.endswith(f"-{service}")]
        return self.docker("exec", instance, "docker", *(argument.replace("{}", container) for argument in arguments))

    def generate(self) -> None:
        """Write the files that are made from product.yaml."""
        call = [sys.executable, "devcloud/bootstrap.py", "infra.generate"]
        subprocess.run(call, cwd=self.root, env=self.environment(), check=True)

    def append(self, path: str, line: str) -> None:
        """Add a line to a file of the copy."""
        with (self.root / path).open("a") as file:
            file.write(line + "\n")

    def restore(self) -> None:
        """Undo what a test changed in the copy."""
        self.git("reset", "--hard", "--quiet")
        self.git("clean", "--force", "-d", "--quiet")

    def configure(self, values: Mapping[str, Any], stack: str = "local") -> None:
        """Change a stack's settings file; None takes a key out."""
        file = self.root / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(file.read_text())
        for key, value in values.items():
            if value is None:
                document["config"].pop(key, None)
            else:
                document["config"][key] = value
        file.write_text(yaml.safe_dump(document))

    def setting(self, key: str, stack: str) -> dict[str, Any]:
        """Return a group of a stack's settings file; empty if there is none."""
        group: dict[str, Any] = yaml.safe_load((self.root / f"Pulumi.{stack}.yaml").read_text())["config"].get(key, {})
        return group

    def set_secret(self, key: str, value: str, stack: str = "local") -> None:
        """Set a secret of a stack, encrypted, as a person does."""
        variables = self.cloud.variables(self.tools.bin, self.tools.pulumi_home)
        subprocess.run(
            ["pulumi", "config", "set", "--secret", key, "--stack", stack, "--non-interactive"],
            cwd=self.root,
            env=self.cloud.environment(variables),
            input=value,
            text=True,
            check=True,
        )

    def client(self, service: str) -> Any:
        """A client of the emulator's."""
        return self.cloud.aws.client(service)

    @property
    def registry(self) -> RegistryReader:
        """The registry behind the emulator's ECR."""
        return RegistryReader(self.cloud)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and theirs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []  # it has ended


def left_of(cloud: Cloud) -> list[str]:
    """The processes and mounts that have to do with a cloud: what they were started with names its folder.

    The tests' checkout lies in the folder too, and the processes of any cloud that it started name that: they are not
    meant.
    """
    ours = re.compile(re.escape(f"{cloud.folder}/").encode() + rb"(?!checkout)")
    left = [line for line in Path("/proc/mounts").read_text().splitlines() if ours.search(line.encode())]
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and alive(int(process.name)):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if ours.search(command) or ours.search((process / "environ").read_bytes()):
                    left.append(command.decode(errors="replace").replace("\0", " "))
    return left


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """The copy, its cloud empty; the cloud is ended with the session."""
    copy = Checkout.on(CLOUD)
    copy.copy()
    copy.end()
    yield copy
    copy.end()


@pytest.fixture(scope="session")
def first_up(checkout: Checkout) -> Done:
    """The first `up` of the stack `local`: on a cloud that never ran, after two that were killed on their way.

    Whatever those leave behind would show in the tests that follow: in a difference, or at the end.
    """
    shutil.rmtree(checkout.cloud.folder / "postgres", ignore_errors=True)
    for earliest, latest in ((0.5, 6), (6, FIRST_SECONDS)):
        checkout.kill(random.uniform(earliest, latest), "all")
    return checkout.up()


@pytest.fixture(scope="session")
def dev_up(checkout: Checkout, first_up: Done) -> Done:
    """The stack `dev` beside it, after two ups of which the command was killed alone, then the engine alone."""
    checkout.restore()
    for victims in ("the command", "the engine"):
        checkout.kill(random.uniform(5, LATEST_SECONDS), victims, stack="dev")
    return checkout.up("dev")


@pytest.fixture(scope="module")
def committed(checkout: Checkout, first_up: Done) -> Iterator[dict[str, Any]]:
    """The outputs of `local` as the copy was committed: so it is up again after a module's tests that change it."""
    checkout.restore()
    yield checkout.outputs()
    checkout.restore()
    checkout.up()


@pytest.fixture
def up(checkout: Checkout, first_up: Done) -> Iterator[Checkout]:
    """The copy with `local` up; what a test changed in the copy is undone after it."""
    yield checkout
    checkout.restore()


@pytest.fixture(scope="session")
def report(note: Callable[[str], None]) -> Iterator[Report]:
    """Take the figures of releases; `make soak` keeps them in the repository."""
    found = Report()
    note(f"SLIPWAY_SEED={found.seed}")
    yield found
    if os.environ.get(WANTED):
        found.write()


@pytest.fixture(scope="module")
def release(
    checkout: Checkout,
    first_up: Done,
    report: Report,
    note: Callable[[str], None],
) -> "Iterator[Release]":
    """Bring the stack up with the tests' limits, and keep it under load from the first test to the last."""
    # That file needs this one.
    from tests.cloud.releases import under_load

    # In the cloud's folder: a session of pytest that runs beside this one may clear pytest's own folders away.
    with under_load(checkout, report, checkout.cloud.folder / "failures.jsonl", note) as found:
        yield found
