"""RunCommand without its API: which script a document and its parameters make, and how an invocation goes on.

Sources: the SSM API reference and user guide (2026-11); states and limits of the agent from the documentation of
SendCommand, GetCommandInvocation and "Understanding command statuses".
"""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devcloud.emulator.moto_overrides import AwsError

DOCUMENT_BYTES = 64 * 1024
"""The limit of a document's content; the parameters of a command count too (CreateDocument.Content)."""
STDOUT_CHARACTERS = 24_000
STDERR_CHARACTERS = STDOUT_CHARACTERS // 3
"""GetCommandInvocation returns the first characters of each output, so many."""
TRUNCATED = "\n--output truncated--"
DELIVERY_SECONDS = 3600
DELIVERY_LIMITS = (30, 2_592_000)
"""TimeoutSeconds of SendCommand: the default, the least, the most."""
EXECUTION_SECONDS = 3600
"""How long a step may take if it does not say."""
GRACE_SECONDS = 15
"""An agent that has not reported a command so long after its time has died, and the command is taken for timed out."""

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "AWS-RunShellScript": {
        "schemaVersion": "2.2",
        "parameters": {
            "commands": {"type": "StringList"},
            "workingDirectory": {"type": "String", "default": ""},
            "executionTimeout": {"type": "String", "default": "3600", "allowedPattern": "[1-9][0-9]{0,5}"},
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "runShellScript",
                "inputs": {
                    "timeoutSeconds": "{{ executionTimeout }}",
                    "workingDirectory": "{{ workingDirectory }}",
                    "runCommand": ["{{ commands }}"],
                },
            }
        ],
    }
}
"""Documents of AWS's own."""


@dataclass(frozen=True)
class Script:
    """The script that a command's agent runs."""

    step: str
    lines: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    timeout_seconds: int


def check_size(content: str, parameters: Mapping[str, Sequence[str]]) -> None:
    """Refuse a document that is too large together with its parameters."""
    size = len(content.encode()) + sum(len(value.encode()) for values in parameters.values() for value in values)
    if size > DOCUMENT_BYTES:
        raise AwsError("MaxDocumentSizeExceeded", f"The size limit of a document is 64 KB; this one has {size} bytes.")


def arguments(document: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the value of each parameter of a document. Refuse what the document does not declare or allow."""
    declared: Mapping[str, Mapping[str, Any]] = document.get("parameters") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        raise AwsError("InvalidParameters", f"Parameters {unknown} are not defined in the document.")
    values: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name not in given and "default" not in parameter:
            raise AwsError("InvalidParameters", f"Parameter {name} is required by the document and has no value.")
        listed = list(given[name]) if name in given else parameter["default"]
        if parameter["type"] == "StringList":
            values[name] = [str(value) for value in listed]
        else:
            if name in given and len(listed) != 1:
                raise AwsError("InvalidParameters", f"Parameter {name} takes one value, and {len(listed)} were given.")
            values[name] = str(listed[0] if name in given else listed)
        _check_value(name, parameter, values[name])
    return values


def _check_value(name: str, parameter: Mapping[str, Any], value: Any) -> None:
    pattern, allowed = parameter.get("allowedPattern"), parameter.get("allowedValues")
    for each in value if isinstance(value, list) else [value]:
        if pattern and re.search(pattern, each) is None:
            raise AwsError("InvalidParameters", f'Parameter "{name}" has value "{each}" not matching "{pattern}".')
        if allowed and each not in allowed:
            raise AwsError("InvalidParameters", f'Parameter "{name}" has value "{each}" not in {list(allowed)}.')


def script(document: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> Script:
    """Return the script that a Command document makes of its parameters.

    A parameter with `interpolationType: ENV_VAR` is an environment variable, SSM_<name>, and never part of the script.
    """
    values = arguments(document, given)
    steps = document.get("mainSteps") or []
    if len(steps) != 1 or steps[0].get("action") != "aws:runShellScript":
        raise AwsError(
            "InvalidDocumentContent",
            "devcloud's emulator runs documents of schema 2.2 with a single step, aws:runShellScript.",
        )
    declared = document.get("parameters") or {}
    as_variables = {name for name in values if declared[name].get("interpolationType") == "ENV_VAR"}
    in_text = {name: value for name, value in values.items() if name not in as_variables}
    inputs = steps[0]["inputs"]
    return Script(
        step=steps[0]["name"],
        lines=tuple(line for entry in inputs["runCommand"] for line in _interpolated(entry, in_text)),
        environment={f"SSM_{name}": values[name] for name in sorted(as_variables)},
        working_directory="".join(_interpolated(inputs.get("workingDirectory", ""), in_text)),
        timeout_seconds=int(*_interpolated(str(inputs.get("timeoutSeconds", EXECUTION_SECONDS)), in_text)),
    )


def _interpolated(text: str, values: Mapping[str, Any]) -> list[str]:
    """Return a line with its parameters replaced; several if it is nothing but a parameter that is a list."""
    whole = re.fullmatch(r"\s*\{\{\s*(\w+)\s*\}\}\s*", text)
    if whole and isinstance(values.get(whole[1]), list):
        return list(values[whole[1]])

    def replaced(match: re.Match[str]) -> str:
        value = values.get(match[1], match[0])
        return " ".join(value) if isinstance(value, list) else str(value)

    return [re.sub(r"\{\{\s*(\w+)\s*\}\}", replaced, text)]


def truncated(text: str, limit: int) -> str:
    """Return the beginning of an output, and a word that it was cut if it was."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


@dataclass
class Invocation:
    """A command on one instance."""

    instance_id: str
    step: str
    requested: datetime.datetime
    delivery_seconds: int
    execution_seconds: int
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    stdout: str = ""
    stderr: str = ""
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    cancel: bool = False

    @property
    def over(self) -> bool:
        return self.status in ("Success", "Failed", "TimedOut", "Cancelled")

    def deliver(self, now: datetime.datetime) -> None:
        """Note that the agent has taken the command."""
        self.status = self.details = "InProgress"
        self.started = now

    def ask_to_cancel(self, now: datetime.datetime) -> None:
        """Cancel a command that has not begun; ask the agent to cancel one that runs."""
        if self.status == "Pending":
            self.status = self.details = "Cancelled"
            self.ended = now
        elif not self.over:
            self.status = self.details = "Cancelling"
            self.cancel = True

    def report(self, state: str, code: int, stdout: str, stderr: str, now: datetime.datetime) -> None:
        """Take the agent's report of a command that has ended."""
        if self.over:
            return
        self.status = state
        self.details = "ExecutionTimedOut" if state == "TimedOut" else state
        self.code = code
        self.stdout = truncated(stdout, STDOUT_CHARACTERS)
        self.stderr = truncated(stderr, STDERR_CHARACTERS)
        self.ended = now

    def look_at_clock(self, now: datetime.datetime) -> None:
        """Time out a command that no agent took, or whose agent fell silent."""
        if self.status == "Pending" and (now - self.requested).total_seconds() > self.delivery_seconds:
            self.status, self.details = "TimedOut", "DeliveryTimedOut"
            self.ended = now
        latest = self.execution_seconds + GRACE_SECONDS
        if self.started and not self.over and (now - self.started).total_seconds() > latest:
            self.status, self.details = "TimedOut", "ExecutionTimedOut"
            self.ended = now


@dataclass
class RunCommand:
    """A command and its invocations, one an instance."""

    command_id: str
    document: str
    document_version: str
    parameters: Mapping[str, Sequence[str]]
    comment: str
    timeout_seconds: int
    targets: Sequence[Mapping[str, Any]]
    requested: datetime.datetime
    script: Script
    invocations: dict[str, Invocation] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The status of the whole: the worst of those that have ended, once all have."""
        states = [each.status for each in self.invocations.values()]
        for state in ("InProgress", "Cancelling", "Pending", "Failed", "TimedOut", "Cancelled"):
            if state in states:
                return state
        return "Success"


def parsed(content: str, format_: str) -> Mapping[str, Any]:
    """Return a document's content. Refuse one that cannot be read."""
    if format_ != "JSON":
        raise AwsError("InvalidDocumentContent", "devcloud's emulator runs documents in JSON only.")
    try:
        document: Mapping[str, Any] = json.loads(content)
    except ValueError as error:
        raise AwsError("InvalidDocumentContent", f"The content of the document is not JSON: {error}") from None
    return document
