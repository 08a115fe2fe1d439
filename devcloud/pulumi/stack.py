"""A stack on a cloud: the engine run on it, what it says, and what is left of a run that was killed."""

import contextlib
import json
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.plugins.bridges import end_abandoned
from devcloud.pulumi import recovery, stack_config
from devcloud.pulumi.progress import Progress, Result
from devcloud.pulumi.run import Runs
from devcloud.util.console import UserError, row, say
from devcloud.util.processes import output
from infra import settings as settings_module
from infra.builds import base_version
from infra.outputs import OutputsError, StackOutputs, parse
from infra.settings import Settings, SettingsError

STACK_TYPE = "pulumi:pulumi:Stack"
"""The stack itself, which the engine puts into its state before the program has declared anything."""
REPOSITORY_TYPE = "aws:ecr/repository:Repository"
LAST_LINES = 20
"""Of what the program printed, where it failed without an error of its own: the end of a traceback."""


def state_folder(cloud: Cloud) -> Path:
    """Where a cloud's backend keeps the states of the program's stacks."""
    return cloud.state / ".pulumi" / "stacks" / stack_config.project()


def with_resources(cloud: Cloud) -> dict[str, int]:
    """The stacks that have resources on a cloud, and how many."""
    counts = {file.stem: _resources(file) for file in sorted(state_folder(cloud).glob("*.json"))}
    return {name: count for name, count in counts.items() if count}


def _resources(state_file: Path) -> int:
    if not state_file.exists():
        return 0
    checkpoint = json.loads(state_file.read_text())["checkpoint"]
    resources = (checkpoint.get("latest") or {}).get("resources") or []
    # A run that was refused before any resource leaves the stack itself and its provider.
    return sum(not resource["type"].startswith((STACK_TYPE, "pulumi:providers:")) for resource in resources)


def _empty(ecr: Any, repository: str) -> None:
    images = ecr.list_images(repositoryName=repository)["imageIds"]
    if images:
        digests = {image["imageDigest"] for image in images}
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": d} for d in sorted(digests)])


class Stack:
    """One stack of the program, aimed at one cloud."""

    def __init__(self, cloud: Cloud, name: str, environment: Mapping[str, str]) -> None:
        self.cloud = cloud
        self.name = name
        self.environment = environment
        self.config = stack_config.config_file(cloud, name)
        self._runs = Runs(cloud.folder / "runs", cloud.state)

    @property
    def state_file(self) -> Path:
        return state_folder(self.cloud) / f"{self.name}.json"

    def prepare(self) -> None:
        """Have the stack there, free of what a killed run left: processes, lock, half-made resources."""
        self.end_dead_run()
        if not self.state_file.exists():
            folder = ROOT if self.name == stack_config.LOCAL else self.config.parent
            self._pulumi("stack", "init", self.name, "--no-select", "--secrets-provider", "passphrase", cwd=folder)
        state = self.export()
        interrupted = recovery.interrupted(state)
        if interrupted:
            state = recovery.adopted(state, recovery.find(recovery.pending_creates(state), self.cloud.aws))
            self._pulumi("stack", "import", "--stack", self.name, stdin=json.dumps(state))
        if interrupted or recovery.unread(state):
            self._follow("refresh", "--yes", "--skip-preview", what="reading what a killed run left")

    def end_dead_run(self) -> None:
        """End the processes of a run that was killed, the bridges it worked through included, and remove its lock."""
        self._runs.clear_dead(self.name)
        if ended := end_abandoned(self.cloud.folder / "bridge"):
            row("pulumi", f"ended {ended} bridge(s) to the AWS provider that a killed run left at work")

    def up(self, *arguments: str) -> Result:
        """Deploy. Raise UserError with the engine's errors."""
        return self._follow("up", "--yes", "--skip-preview", *arguments, what="deploying")

    def destroy(self) -> Result:
        if self.name != stack_config.LOCAL:
            # A rehearsal keeps nothing that anybody would miss: what is protected on AWS, and kept while it holds
            # images, is given up here.
            self._pulumi("state", "unprotect", "--all", "--yes", "--stack", self.name)
            self._empty_repositories()
        return self._follow("destroy", "--yes", "--skip-preview", what="deleting")

    def _empty_repositories(self) -> None:
        """Delete the images in the repositories that the stack owns."""
        ecr = self.cloud.aws.client("ecr")
        for resource in self.export()["deployment"].get("resources") or []:
            if resource["type"] == REPOSITORY_TYPE and resource.get("id"):
                # One may be gone: a run that deleted the stack was killed.
                with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
                    _empty(ecr, resource["id"])

    def show(self, command: str, *arguments: str) -> int:
        """Run a command whose own output is the answer. Return its exit code, or 1 if Pulumi reported an error.

        Pulumi ends with 0 in spite of an error that a program or a provider only logged: it prints "1 errored".
        """
        with self._run(self._call(command, *arguments), quiet=True) as (process, result):
            for line in process.stdout or ():
                print(line, end="", flush=True)
        if process.returncode == 0 and result.errors:
            say(f"`pulumi {command}` of stack {self.name} reported {len(result.errors)} error(s), shown above.")
            return UserError.exit_code
        return process.returncode

    def outputs(self) -> StackOutputs:
        """Return the stack's outputs. Raise UserError if another version of the program deployed it."""
        try:
            return parse(self.name, self.raw_outputs())
        except OutputsError as error:
            raise UserError(str(error)) from None

    def raw_outputs(self) -> dict[str, Any]:
        """Return the stack's outputs as Pulumi has them."""
        if not self.state_file.exists():
            raise UserError(f"Stack {self.name} is not up on cloud {self.cloud.name}: run `make up STACK={self.name}`.")
        found: dict[str, Any] = json.loads(self._pulumi("stack", "output", "--json", "--stack", self.name))
        return found

    def export(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._pulumi("stack", "export", "--stack", self.name))
        return found

    def settings(self) -> Settings:
        """Its settings, secrets left out. Raise UserError with what is wrong with them."""
        try:
            return settings_module.load_file(self.config, self.name)
        except SettingsError as error:
            raise UserError(str(error)) from None

    def pins(self, image: str) -> bool:
        """Whether its settings take an image by a version instead of building it."""
        return image in base_version.unresolved(self.settings())

    def resources(self) -> int:
        """How many resources the stack has."""
        return _resources(self.state_file)

    def _call(self, command: str, *arguments: str) -> list[str]:
        return [
            "pulumi",
            command,
            "--stack",
            self.name,
            "--config-file",
            str(self.config),
            "--non-interactive",
            *arguments,
        ]

    def _follow(self, command: str, *arguments: str, what: str) -> Result:
        """Run the engine and tell what it does. Raise UserError with its errors where it fails."""
        self.cloud.logs.mkdir(parents=True, exist_ok=True)
        log = self.cloud.logs / f"pulumi-{command}-{self.name}.log"
        call = self._call(command, "--color", "never", *arguments)
        say(f"pulumi {command} --stack {self.name}: {what}")
        with log.open("w") as said, self._run(call) as (process, result):
            for line in process.stdout or ():
                said.write(line)
                said.flush()
        if process.returncode != 0:
            reasons = _without_noise(result.errors) or result.program_said[-LAST_LINES:]
            raise UserError(
                f"`pulumi {command}` of stack {self.name} failed; the whole log is {log}. The next `make up` goes on "
                "from here.\n" + textwrap.indent("\n".join(reasons), "  ")
            )
        return result

    @contextlib.contextmanager
    def _run(self, call: Sequence[str], *, quiet: bool = False) -> Iterator[tuple["subprocess.Popen[str]", Result]]:
        """Start a run of Pulumi and follow its events. Its exit code and result are complete at the end."""
        events = self.cloud.folder / f"events-{self.name}.json"
        call = [*call, "--event-log", str(events)]
        # Pulumi knows `--event-log` only with its debugging commands.
        env = {**self.environment, "PULUMI_DEBUG_COMMANDS": "1"}
        with (
            Progress(events, quiet=quiet) as progress,
            self._runs.start(self.name, call, env=env, cwd=ROOT) as process,
        ):
            yield process, progress.result

    def _pulumi(self, *arguments: str, cwd: Path = ROOT, stdin: str | None = None) -> str:
        call = ["pulumi", *arguments, "--non-interactive"]
        return output(call, env=self.environment, cwd=cwd, timeout=300, stdin=stdin)


def _without_noise(errors: Sequence[str]) -> list[str]:
    """The errors, less the one that only says that there were others."""
    return [error for error in errors if error not in ("update failed", "preview failed")]
