"""A stack on a cloud: run Pulumi on it, report what it does, and clear up after a run that was killed."""

import contextlib
import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.plugins.bridges import end_abandoned
from devcloud.pulumi import recovery, stack_config
from devcloud.pulumi.progress import Progress, Result, count_errors
from devcloud.pulumi.run import Runs
from devcloud.util.console import UserError, answer, row, say
from devcloud.util.processes import output
from infra.outputs import StackOutputs, parse
from infra.settings import Settings, load_file

NO_RESOURCES = ("pulumi:pulumi:Stack", "pulumi:providers:")
"""Beginnings of the types that Pulumi puts into the state itself: even a run that was refused leaves them."""
REPOSITORY_TYPE = "aws:ecr/repository:Repository"
GENERAL_ERRORS = ("update failed", "preview failed")
"""Errors of Pulumi that only say that there were others."""
LAST_LINES = 20
"""Of the program's own output, shown if it failed without an error message: the end of a traceback."""


def state_folder(cloud: Cloud) -> Path:
    """Return the folder in which a cloud's backend keeps the states of the program's stacks."""
    return cloud.state / ".pulumi" / "stacks" / stack_config.project()


def with_resources(cloud: Cloud) -> dict[str, int]:
    """Return the stacks that have resources on a cloud, and how many."""
    counts = {file.stem: _resources(file) for file in sorted(state_folder(cloud).glob("*.json"))}
    return {name: count for name, count in counts.items() if count}


def _resources(state_file: Path) -> int:
    checkpoint = json.loads(state_file.read_text())["checkpoint"]
    resources = (checkpoint.get("latest") or {}).get("resources") or []
    return sum(not resource["type"].startswith(NO_RESOURCES) for resource in resources)


class Stack:
    """One stack of the program, aimed at one cloud."""

    def __init__(self, cloud: Cloud, name: str, environment: Mapping[str, str]) -> None:
        self.cloud = cloud
        self.name = name
        self.environment = environment
        self.config = stack_config.config_file(cloud, name)
        self._runs = Runs(cloud.folder / "runs", cloud.state)
        self._events = cloud.folder / f"events-{name}.json"
        self._state_file = state_folder(cloud) / f"{name}.json"

    def prepare(self) -> None:
        """Create the stack if there is none, and clear up after a killed run: processes, lock, half-made resources."""
        self.end_dead_run()
        if not self._state_file.exists():
            # `init` writes a salt into the settings file in the current folder.
            folder = self.config.parent
            self._pulumi("stack", "init", self.name, "--no-select", "--secrets-provider", "passphrase", cwd=folder)
        state = self._export()
        interrupted = recovery.interrupted(state)
        if interrupted:
            state = recovery.recovered(state, self.cloud.aws)
            self._pulumi("stack", "import", "--stack", self.name, stdin=json.dumps(state))
        if interrupted or recovery.unread(state):
            self._follow("refresh", "--yes", "--skip-preview", what="reading what a killed run left")

    def end_dead_run(self) -> None:
        """End the processes of a killed run, its bridges to the AWS provider too, and remove its lock."""
        self._runs.clear_dead(self.name)
        if ended := end_abandoned(self.cloud.folder / "bridge"):
            row("pulumi", f"ended {ended} bridge(s) to the AWS provider that a killed run left at work")

    def up(self, *arguments: str) -> Result:
        """Deploy. Raise UserError with Pulumi's errors."""
        return self._follow("up", "--yes", "--skip-preview", *arguments, what="deploying")

    def destroy(self) -> Result:
        """Delete all resources. Raise UserError with Pulumi's errors."""
        if self.name != stack_config.LOCAL:
            # A rehearsal on this machine holds nothing that anybody would miss, protected on AWS or not.
            self._pulumi("state", "unprotect", "--all", "--yes", "--stack", self.name)
            self._empty_repositories()
        return self._follow("destroy", "--yes", "--skip-preview", what="deleting")

    def _empty_repositories(self) -> None:
        """Delete the images in the stack's repositories: those that are kept on AWS cannot be deleted with images."""
        ecr = self.cloud.aws.client("ecr")
        for resource in self._export()["deployment"].get("resources") or []:
            if resource["type"] == REPOSITORY_TYPE and (name := resource.get("id")):
                # A run that was killed while it deleted the stack may have deleted this one.
                with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
                    images = ecr.list_images(repositoryName=name)["imageIds"]
                    digests = sorted({image["imageDigest"] for image in images})
                    if digests:
                        ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": d} for d in digests])

    def show(self, command: str, *arguments: str) -> int:
        """Run a command whose own output is the answer. Return its exit code, or 1 if Pulumi reported an error.

        Pulumi ends with 0 in spite of an error that a program or a provider only logged: it prints "1 errored".
        """
        self._events.write_bytes(b"")
        code = self._run(command, *arguments, on_line=lambda line: answer(line.rstrip("\n")))
        if code == 0 and (count := count_errors(self._events)):
            say(f"`pulumi {command}` of stack {self.name} reported {count} error(s), shown above.")
            return UserError.exit_code
        return code

    def outputs(self) -> StackOutputs:
        """Return the stack's outputs. Raise OutputsError if another version of the program deployed it."""
        return parse(self.name, self.raw_outputs())

    def raw_outputs(self) -> dict[str, Any]:
        """Return the stack's outputs as Pulumi has them."""
        if not self._state_file.exists():
            raise UserError(f"Stack {self.name} is not up on cloud {self.cloud.name}: run `make up STACK={self.name}`.")
        found: dict[str, Any] = json.loads(self._pulumi("stack", "output", "--json", "--stack", self.name))
        return found

    def settings(self) -> Settings:
        """Return its settings without secrets. Raise SettingsError with every problem in them."""
        return load_file(self.config, self.name)

    def _export(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._pulumi("stack", "export", "--stack", self.name))
        return found

    def _follow(self, command: str, *arguments: str, what: str) -> Result:
        """Run Pulumi and report its progress. Raise UserError with its errors if it fails."""
        self.cloud.logs.mkdir(parents=True, exist_ok=True)
        log = self.cloud.logs / f"pulumi-{command}-{self.name}.log"
        say(f"pulumi {command} --stack {self.name}: {what}")
        # Line by line, so that `make cloud-logs` shows a run that is under way.
        with log.open("w", buffering=1) as said, Progress(self._events) as progress:
            code = self._run(command, "--color", "never", *arguments, on_line=said.write)
        result = progress.result
        if code != 0:
            errors = [error for error in result.errors if error not in GENERAL_ERRORS]
            reasons = "\n".join(errors or result.program_said[-LAST_LINES:])
            raise UserError(
                f"`pulumi {command}` of stack {self.name} failed; the whole log is {log}. The next `make up` goes on "
                "from here.\n" + textwrap.indent(reasons, "  ")
            )
        return result

    def _run(self, command: str, *arguments: str, on_line: Callable[[str], object]) -> int:
        """Run Pulumi on the stack, on record, with its events in their file. Return its exit code."""
        call = ["pulumi", command, "--stack", self.name, "--config-file", str(self.config), "--non-interactive"]
        call += ["--event-log", str(self._events), *arguments]
        # Pulumi knows `--event-log` only if its debugging commands are on.
        environment = {**self.environment, "PULUMI_DEBUG_COMMANDS": "1"}
        return self._runs.run(self.name, call, on_line, env=environment, cwd=ROOT)

    def _pulumi(self, *arguments: str, cwd: Path = ROOT, stdin: str | None = None) -> str:
        call = ["pulumi", *arguments, "--non-interactive"]
        return output(call, env=self.environment, cwd=cwd, timeout=300, stdin=stdin)
