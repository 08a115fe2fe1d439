"""Run one command of the host's program on the API host, through SSM RunCommand, and return its report."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.lib.messages import LONGEST_OF_AWS, plain, printable

POLL_SECONDS = 0.5
DELIVERY_SECONDS = 30
"""How long a command may wait for the agent to take it; the least that SendCommand accepts as `TimeoutSeconds`."""
RUN_SECONDS = 60
"""How long a command may run, as the document says; `follow` answers within 15 s."""
SERVER_ERRORS = 500
"""The first HTTP status that is the server's fault."""
UNDELIVERED = ("Undeliverable", "Delivery Timed Out", "DeliveryTimedOut", "Terminated")
"""States in which the host never began the command."""
PASSING = ("ThrottlingException", "Throttling", "RequestLimitExceeded", "InternalServerError", "ServiceUnavailable")
"""AWS errors for which a retry helps."""
AGENTS_LAST_LINE = "failed to run commands:"
"""Beginning of the line that the agent adds to the standard error of a command that failed."""
UNFINISHED = ("Pending", "InProgress", "Delayed", "Cancelling")


class RunCommandError(Exception):
    """The host could not be asked; the message is one sentence."""


class HostAwayError(RunCommandError):
    """The host did not take the command: it may be starting, or have lost its network. Asking again may help."""


@dataclass(frozen=True)
class Host:
    """The API host, as RunCommand reaches it."""

    ssm: Any
    """boto3's client of SSM."""
    instance_id: str
    document: str
    """Name of the SSM document with the host's program."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def ask(self, version: str, command: str, argument: str = "") -> dict[str, Any]:
        """Return the report of a command: the JSON object that the program prints.

        `version` is the document's, so the program's; `argument` is text that reaches the program as it is.
        Raises HostAwayError if the host did not take the command, and RunCommandError if the program gave no report.
        """
        command_id = self._send(version, command, argument)
        deadline = self.clock() + DELIVERY_SECONDS + RUN_SECONDS
        while self.clock() < deadline:
            found = self._invocation(command_id)
            if found is not None and found["Status"] not in UNFINISHED:
                return _report(command, found)
            self.sleep(POLL_SECONDS)
        raise HostAwayError(f"The host did not finish `{command}` within {DELIVERY_SECONDS + RUN_SECONDS} s.")

    def is_online(self) -> bool:
        """Return True if the host's agent takes commands."""
        try:
            found = self.ssm.describe_instance_information(
                Filters=[{"Key": "InstanceIds", "Values": [self.instance_id]}]
            )["InstanceInformationList"]
        except BotoCoreError:
            return False
        except ClientError as error:
            if _code(error) == "InvalidInstanceId" or _passes(error):
                return False
            raise RunCommandError(_refused("DescribeInstanceInformation", error)) from None
        return any(each["PingStatus"] == "Online" for each in found)

    def _send(self, version: str, command: str, argument: str) -> str:
        parameters = {"Command": [command], "Argument": [base64.b64encode(argument.encode()).decode()]}
        try:
            sent = self.ssm.send_command(
                InstanceIds=[self.instance_id],
                DocumentName=self.document,
                DocumentVersion=version,
                Parameters=parameters,
                TimeoutSeconds=DELIVERY_SECONDS,
                Comment=f"slipway {command}",
            )
        except BotoCoreError as error:
            raise HostAwayError(f"AWS did not answer SendCommand ({plain(str(error))}).") from None
        except ClientError as error:
            # The agent is not there (yet): AWS's own name for that.
            if _code(error) == "InvalidInstanceId":
                raise HostAwayError(f"The agent on {self.instance_id} takes no commands.") from None
            if _passes(error):
                raise HostAwayError(_refused("SendCommand", error)) from None
            raise RunCommandError(_refused("SendCommand", error)) from None
        return str(sent["Command"]["CommandId"])

    def _invocation(self, command_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.ssm.get_command_invocation(CommandId=command_id, InstanceId=self.instance_id)
        except BotoCoreError:
            return None
        except ClientError as error:
            # A command is there a moment later than SendCommand says so.
            if _code(error) == "InvocationDoesNotExist" or _passes(error):
                return None
            raise RunCommandError(_refused("GetCommandInvocation", error)) from None
        return found


def _report(command: str, invocation: dict[str, Any]) -> dict[str, Any]:
    status = invocation.get("StatusDetails") or invocation["Status"]
    if status in UNDELIVERED:
        raise HostAwayError(f"The host did not take `{command}` ({status}).")
    printed = invocation.get("StandardOutputContent", "")
    report = _object(printed)
    if invocation["Status"] == "Success":
        if report is None:
            raise RunCommandError(f"The host's `{command}` printed no report, but {plain(printed.strip())!r}.")
        return report
    if report is not None and isinstance(report.get("error"), str):
        raise RunCommandError(printable(report["error"]))
    said = [
        line
        for line in invocation.get("StandardErrorContent", "").strip().splitlines()
        if not line.startswith(AGENTS_LAST_LINE)
    ]
    end = f": {plain(said[-1])}" if said else ""
    raise RunCommandError(f"The host's `{command}` ended as {status}, exit code {invocation.get('ResponseCode')}{end}.")


def _object(printed: str) -> dict[str, Any] | None:
    """Return the JSON object that a program printed; None if it printed something else."""
    try:
        found = json.loads(printed)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _passes(error: ClientError) -> bool:
    """Return True if asking again may mend a refusal."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in PASSING or status >= SERVER_ERRORS


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _refused(call: str, error: ClientError) -> str:
    found = error.response["Error"]
    return f"AWS refused {call}: {found['Code']}: {plain(found.get('Message', ''), LONGEST_OF_AWS)}"
