"""Ask a stack that is up: its host by RunCommand, the worker's service, and the queue."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.lib.canonical_json import canonical_json
from infra.lib.errors import InputError
from infra.lib.messages import LONGEST_OF_AWS, plain, shown
from infra.outputs import StackOutputs
from infra.releases import release
from infra.releases.run_command import Host, HostAwayError, RunCommandError

WAITING, TAKEN = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
"""The attributes of a queue that count its messages."""
BACKUP_POLL_SECONDS = 2


class LiveError(InputError):
    """The stack could not be asked; the message is a sentence that says what to do."""


class WrongServiceError(LiveError):
    """A name is none of the stack's services."""

    exit_code = 2


@dataclass(frozen=True)
class Worker:
    """The worker's tasks and their queue, as AWS counts them."""

    desired: int
    running: int
    waiting: int
    taken: int
    """Messages that a task has taken."""
    dead: int
    """Messages that were given up."""


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of the data volume, as AWS lists them."""

    problem: str
    """AWS's sentence about a policy that it cannot work by; empty if it can."""
    made: Sequence[Mapping[str, Any]]
    """The newest first, as EC2 describes them."""


@dataclass(frozen=True)
class LiveStack:
    """A stack that is up."""

    name: str
    outputs: StackOutputs
    client: Callable[[str], Any]
    """Returns boto3's client of a service of AWS, in the stack's account and region."""

    def status(self) -> dict[str, Any]:
        """Return the release that serves and its containers, as the host reports them. Raises LiveError."""
        return self._ask(self._release(), "status", {})

    def logs(self, service: str, lines: int) -> str:
        """Return the end of a service's log. Raises LiveError."""
        return str(self._ask(self._with(service), "logs", {"service": service, "lines": lines})["log"])

    def restart(self, service: str) -> None:
        """Restart a service, whose requests fail until it is back. Raises LiveError."""
        self._ask(self._with(service), "restart", {"service": service})

    def backups(self) -> dict[str, Any]:
        """Return the dumps of the host and how the last backup or restore ended. Raises LiveError."""
        return self._ask(self._release(), "backups", {})

    def backup(self) -> str:
        """Make a dump, wait for its end and return its name. Raises LiveError."""
        return self._finished("backup", {})

    def restore(self, dump: str) -> str:
        """Restore a dump, the newest if none is named, wait for the end and return its name. Raises LiveError."""
        return self._finished("restore", {"dump": dump})

    def _finished(self, command: str, argument: Mapping[str, object]) -> str:
        """Start a backup or restore and wait until the host reports its end. Raises LiveError."""
        began = self._ask(self._release(), command, argument)["at"]
        while True:
            report = self.backups()
            last = report["last"]
            if last and last["work"] == command and last["at"] >= began:
                if last["error"]:
                    raise LiveError(f"The {command} of {last['dump']} failed on the host: {last['error']}")
                return str(last["dump"])
            if not report["underWay"]:
                raise LiveError(
                    f"The {command} ended without a result: read `journalctl -u slipway-data` in a shell on the host."
                )
            time.sleep(BACKUP_POLL_SECONDS)

    def snapshots(self) -> Snapshots | None:
        """Return the snapshots of the data volume; None for a stack that makes none. Raises LiveError."""
        if self.outputs.snapshot_policy is None:
            return None
        try:
            policy = self.client("dlm").get_lifecycle_policy(PolicyId=self.outputs.snapshot_policy)["Policy"]
            # The snapshots have the tag by which the policy finds the volume, and so do those made by hand.
            tags = policy["PolicyDetails"]["TargetTags"]
            filters = [{"Name": f"tag:{tag['Key']}", "Values": [tag["Value"]]} for tag in tags]
            pages = self.client("ec2").get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
            made = [snapshot for page in pages for snapshot in page["Snapshots"]]
        except (BotoCoreError, ClientError) as error:
            raise self._refused(error) from None
        problem = policy.get("StatusMessage") or "AWS gives no reason" if policy["State"] == "ERROR" else ""
        return Snapshots(problem, sorted(made, key=lambda snapshot: snapshot["StartTime"], reverse=True))

    def worker(self) -> Worker | None:
        """Return the counts of the worker and its queue; None for a stack without one. Raises LiveError."""
        worker = self.outputs.worker
        if worker is None:
            return None
        try:
            (service,) = self.client("ecs").describe_services(cluster=worker.cluster, services=[worker.service])[
                "services"
            ]
            jobs, dead = self._messages(worker.queue_url), self._messages(worker.dead_letter_queue_url)
        except (BotoCoreError, ClientError) as error:
            raise self._refused(error) from None
        return Worker(service["desiredCount"], service["runningCount"], jobs[WAITING], jobs[TAKEN], dead[WAITING])

    def _messages(self, queue: str) -> dict[str, int]:
        found = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[WAITING, TAKEN])["Attributes"]
        return {name: int(found[name]) for name in (WAITING, TAKEN)}

    def _release(self) -> release.Release:
        """Return the release that was handed to the host last: it names the program to ask."""
        parameter = self.outputs.release_parameter
        ssm = self.client("ssm")
        try:
            text = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            raise LiveError(f"Stack {self.name} has no release yet: bring it up first.") from None
        except (BotoCoreError, ClientError) as error:
            raise self._refused(error) from None
        return release.parse(text, f"The parameter {parameter}")

    def _with(self, service: str) -> release.Release:
        """Return the release, if it has a service. Raises WrongServiceError."""
        current = self._release()
        if service not in current.services:
            raise WrongServiceError(
                f"SERVICE={shown(service)} is not a service of stack {self.name}: use one of "
                f"{', '.join(sorted(current.services))}."
            )
        return current

    def _ask(self, current: release.Release, command: str, argument: Mapping[str, object]) -> dict[str, Any]:
        host = Host(self.client("ssm"), self.outputs.api_instance_id, current.host)
        try:
            return host.ask(current.host_version, command, canonical_json(argument))
        except HostAwayError as away:
            raise LiveError(
                f"The host of stack {self.name} does not answer: {plain(str(away))} It may be starting: try again in a "
                "minute; docs/runbook.md has what to do if it stays silent."
            ) from None
        except RunCommandError as error:
            raise LiveError(str(error)) from None

    def _refused(self, error: Exception) -> LiveError:
        return LiveError(
            f"AWS did not answer for stack {self.name} ({plain(str(error), LONGEST_OF_AWS)}): check the credentials of "
            "this shell, and their rights (README, A release)."
        )
