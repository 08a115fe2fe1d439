"""Hand a release to the API host and wait for its verdict; at the end of an `up`, ask what serves.

The release belongs to the host: these functions submit it and follow it. If this process ends in the middle, the host
goes on, and the next `up` finds the release under way.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.lib.canonical_json import canonical_json
from infra.lib.messages import LONGEST_OF_AWS, plain, printable
from infra.releases import timeline
from infra.releases.release import Release, parse, release_id
from infra.releases.run_command import Host, HostAwayError, RunCommandError

WAITING_SECONDS = 15
"""How often a wait that goes on is told."""
PAUSE_SECONDS = 2
"""Between two questions whether the host is free."""
CONSOLE_LINES = 15
LOG_LINES = 20
"""Lines of a container's log that the error of a failed release ends with."""

Say = Callable[[str], None]


class GateError(Exception):
    """The release does not serve; the message says what failed, why, and what serves now."""


@dataclass(frozen=True)
class Patience:
    """How long the host may take, in seconds."""

    agent: int
    """Until its agent takes commands: a first boot installs Docker."""
    release: int
    """Until a release has its verdict, or until one that is under way has ended."""


@dataclass(frozen=True)
class Gate:
    """The way of a release to its host."""

    host: Host
    ec2: Any
    """boto3's client of EC2, for the console of a host that does not come up."""
    sts: Any
    account_id: str
    """The provider's account: hooks use the shell's credentials, which may be another's."""
    patience: Patience
    say: Say
    once: Collection[str] = ()
    """The services that run to their end: each is a phase of its own in the line about the time."""

    def release(self, text: str) -> None:
        """Hand a release to the host and return once it serves. Raises GateError if it does not."""
        wanted = parse(text)
        try:
            self._check_account()
            self._wait_for_agent()
            self._submit(wanted, text)
        except RunCommandError as error:
            raise GateError(f"The release {release_id(text)} was not verified: {error}") from None

    def verify(self, text: str) -> None:
        """Check that the host serves a release. Raises GateError if it does not.

        If another release serves (an instance that was replaced, a host that came back late), it is handed over again.
        """
        try:
            self._check_account()
            self._wait_for_agent()
            report = self._serving(text)
            if report["state"] != "serving":
                self.say(f"release: {_problem(report)}; handing it over again")
                self.release(text)
                report = self._serving(text)
        except RunCommandError as error:
            raise GateError(f"What serves could not be asked: {error}") from None
        if report["state"] != "serving":
            raise GateError(f"The host does not serve the release {release_id(text)}: {_problem(report)}")
        if certificate := report.get("certificate"):
            self.say(f"release: {printable(certificate)}")

    def _serving(self, text: str) -> dict[str, Any]:
        return self._ask(parse(text), "verify", text, self.host.clock() + self.patience.release)

    def _check_account(self) -> None:
        try:
            found = self.sts.get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise RunCommandError(
                f"AWS does not say whose credentials these are ({plain(str(error), LONGEST_OF_AWS)})."
            ) from None
        if found != self.account_id:
            raise RunCommandError(
                f"the shell's credentials are of the account {found}, the stack is in {self.account_id}; "
                "set AWS_PROFILE (or the credentials) to that account, and run `pulumi up` again."
            )

    def _wait_for_agent(self) -> None:
        started = said = self.host.clock()
        while not self.host.is_online():
            now = self.host.clock()
            if now - started > self.patience.agent:
                raise RunCommandError(
                    f"the agent on {self.host.instance_id} did not come up within {self.patience.agent} s. "
                    f"Its console ends with:\n{self._console()}"
                )
            if now - said >= WAITING_SECONDS:
                said = now
                self.say(f"release: waiting for the host's agent ... {now - started:.0f} s")
            self.host.sleep(1)

    def _console(self) -> str:
        try:
            output = self._console_output()
        except (BotoCoreError, ClientError) as error:
            return f"  (it cannot be read: {plain(str(error), LONGEST_OF_AWS)})"
        lines = [line.rstrip() for line in output.splitlines() if line.strip()]
        return _quoted(lines[-CONSOLE_LINES:]) or "  (nothing yet)"

    def _console_output(self) -> str:
        """Return the console's text: the present one if the instance type has it, else the last one that AWS kept."""
        try:
            found = self.ec2.get_console_output(InstanceId=self.host.instance_id, Latest=True)
        except ClientError as error:
            if error.response["Error"]["Code"] != "UnsupportedOperation":
                raise
            found = self.ec2.get_console_output(InstanceId=self.host.instance_id)
        return str(found.get("Output", ""))

    def _submit(self, wanted: Release, text: str) -> None:
        deadline = self.host.clock() + self.patience.release
        other, ended, said = "", 0.0, 0.0
        while True:
            answer = self._ask(wanted, "submit", text, deadline)
            if answer["state"] == "serving":
                self.say(f"release: {release_id(text)} serves already")
                return
            if answer["state"] == "accepted":
                verdict = self._follow(wanted, release_id(text), deadline)
                self.say(f"release: {timeline.line(timeline.phases(verdict['seconds'], self.once))}")
                return
            if answer["busyWith"] is None:
                continue  # it has ended in between
            if answer["busyWith"] != other:
                other = str(answer["busyWith"])
                self._wait_for(wanted, other, deadline)
                ended, said = self.host.clock(), -math.inf
            # The other release has its verdict. The next one can begin only after the containers that it replaced have
            # stopped.
            now = self.host.clock()
            if now - said >= WAITING_SECONDS:
                said = now
                self.say(f"release: waiting until {other} has stopped what it replaced ... {now - ended:.0f} s")
            self.host.sleep(PAUSE_SECONDS)

    def _wait_for(self, wanted: Release, other: str, deadline: float) -> None:
        """Wait for the verdict of another `up`'s release, or of one whose `up` was ended."""
        self.say(f"release: waiting for {other}, which is under way")
        try:
            self._follow(wanted, other, deadline)
        except GateError as error:
            self.say(f"release: the other one has ended: {error}")

    def _follow(self, wanted: Release, followed: str, deadline: float) -> Mapping[str, Any]:
        """Tell each line of a release as it comes, and return its verdict. Raises GateError if that is bad."""
        seen = 0
        while True:
            question = canonical_json({"release": followed, "from": seen})
            report = self._ask(wanted, "follow", question, deadline)
            for line in report["lines"]:
                self.say(f"release: {printable(line)}")
            seen = report["next"]
            if report["state"] == "succeeded":
                verdict: Mapping[str, Any] = report["verdict"]
                return verdict
            if report["state"] == "failed":
                raise GateError(failure(followed, report["verdict"]))
            if report["state"] == "unknown":
                raise RunCommandError(f"the host knows nothing of {followed} any more; run `pulumi up` again.")

    def _ask(self, wanted: Release, command: str, argument: str, deadline: float) -> dict[str, Any]:
        """Ask the host until it answers: it may be restarting."""
        while True:
            try:
                if self.host.clock() > deadline:
                    raise RunCommandError(
                        f"the host gave no verdict within {self.patience.release} s. It goes on by itself; "
                        "`pulumi up` again waits for it."
                    )
                return self.host.ask(wanted.host_version, command, argument)
            except HostAwayError as away:
                self.say(f"release: {away} Asking again.")
                self.host.sleep(2)


def _problem(report: Mapping[str, Any]) -> str:
    """Return why a host does not serve, safe for a terminal: it may quote what a service answered."""
    return printable(str(report.get("problem") or report["state"]))


def failure(release: str, verdict: Mapping[str, Any]) -> str:
    """Return what a bad verdict says to a person: the step, the cause, and the end of the log."""
    parts = [f"The release {release} failed at `{verdict['step']}`: {printable(verdict['cause'])}"]
    if verdict.get("outOfMemory"):
        parts.append("It ran out of its memory.")
    parts.append("If a release served before, it still does. docs/runbook.md says what to do about each cause.")
    if verdict.get("log"):
        lines = str(verdict["log"]).splitlines()[-LOG_LINES:]
        parts.append(f"The end of the log:\n{_quoted(lines)}")
    return " ".join(parts)


def _quoted(lines: Sequence[str]) -> str:
    """Return lines of a container or a console as a quotation: none of them can pass for a line of ours."""
    return "\n".join(f"  | {printable(line)}" for line in lines)
