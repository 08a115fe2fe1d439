"""SSM's RunCommand: the API's calls, and what an instance's agent takes and reports.

moto's SendCommand succeeds at once without running anything.
"""

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from devcloud.emulator import run_command
from devcloud.emulator.machines import MACHINES
from devcloud.emulator.moto_overrides import AwsError
from devcloud.emulator.run_command import Invocation, RunCommand

AGENT_VERSION = "3.3.3572.0"
"""The version that the stand-in for the agent calls itself; from 3.3.2746.0 on, agents know ENV_VAR parameters."""
LISTED_OUTPUT = 2500
"""The characters of an output that ListCommandInvocations shows."""


@dataclass
class Commands:
    """The commands of one account and region, by their ids."""

    sent: dict[str, RunCommand] = field(default_factory=dict)

    def get(self, command_id: str) -> RunCommand:
        """Return a command, its invocations as of now. Refuse an unknown one."""
        if command_id not in self.sent:
            raise AwsError("InvalidCommandId", "The specified command ID isn't valid.")
        return _current(self.sent[command_id])

    def all(self) -> list[RunCommand]:
        """Return every command, the newest first."""
        return [_current(command) for command in reversed(self.sent.values())]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _current(command: RunCommand) -> RunCommand:
    for invocation in command.invocations.values():
        invocation.look_at_clock(_now())
    return command


COMMANDS: dict[tuple[str, str], Commands] = {}
"""By account and region."""


def commands_of(account: str, region: str) -> Commands:
    return COMMANDS.setdefault((account, region), Commands())


# --- the agent's side ----------------------------------------------------------------------------------------------


def take(instance: Instance) -> dict[str, Any]:
    """Return the commands that an agent is to run, and the ids of those to cancel.

    They count as delivered when the agent says that it begins: this answer may go to one that was killed meanwhile.
    """
    found: list[dict[str, Any]] = []
    cancel: list[str] = []
    for command in commands_of(instance.owner_id, instance.region_name).sent.values():
        invocation = _current(command).invocations.get(instance.id)
        if invocation is None:
            continue
        if invocation.status == "Pending":
            found.append(
                {
                    "commandId": command.command_id,
                    "document": command.document,
                    "script": command.script.lines,
                    "environment": command.script.environment,
                    "workingDirectory": command.script.working_directory,
                    "timeoutSeconds": command.script.timeout_seconds,
                }
            )
        elif invocation.cancel and not invocation.over:
            invocation.cancel = False  # told once
            cancel.append(command.command_id)
    return {"commands": found, "cancel": cancel}


def begin(instance: Instance, content: Mapping[str, Any]) -> bool:
    """Return whether an agent may run a command: not if it was cancelled or timed out meanwhile."""
    command = commands_of(instance.owner_id, instance.region_name).sent.get(str(content.get("commandId")))
    invocation = _current(command).invocations.get(instance.id) if command else None
    if invocation is None or invocation.over:
        return False
    if invocation.status == "Pending":
        invocation.deliver(_now())
    return True


def report(instance: Instance, content: Mapping[str, Any]) -> None:
    """Take an agent's report of a command that has ended. One that is not its own is left alone."""
    command = commands_of(instance.owner_id, instance.region_name).sent.get(str(content.get("commandId")))
    invocation = command.invocations.get(instance.id) if command else None
    if invocation:
        invocation.report(content["state"], content["code"], content["stdout"], content["stderr"], _now())


# --- the API -------------------------------------------------------------------------------------------------------


class CommandResponse(SimpleSystemManagerResponse):
    """moto's, with commands that run on the instances."""

    @property
    def _commands(self) -> Commands:
        return commands_of(self.current_account, self.region)

    def send_command(self) -> ActionResult:
        """SendCommand. Refuse what the document does not allow, and instances without an agent."""
        name, version = self._get_param("DocumentName"), self._get_param("DocumentVersion")
        parameters: dict[str, list[str]] = self._get_param("Parameters") or {}
        timeout = self._get_param("TimeoutSeconds") or run_command.DELIVERY_SECONDS
        least, most = run_command.DELIVERY_LIMITS
        if not least <= int(timeout) <= most:
            raise AwsError("ValidationException", f"TimeoutSeconds must be between {least} and {most}.")
        script, version = self._script(name, version, parameters)
        targets = self._get_param("Targets") or []
        instance_ids = list(dict.fromkeys([*(self._get_param("InstanceIds") or []), *self._targeted(targets)]))
        self._refuse_unmanaged(instance_ids)
        command = RunCommand(
            command_id=str(uuid.uuid4()),
            document=name,
            document_version=version,
            parameters=parameters,
            comment=self._get_param("Comment") or "",
            timeout_seconds=int(timeout),
            targets=targets,
            requested=_now(),
            script=script,
        )
        for instance_id in instance_ids:
            command.invocations[instance_id] = Invocation(
                instance_id=instance_id,
                step=script.step,
                requested=command.requested,
                delivery_seconds=int(timeout),
                execution_seconds=script.timeout_seconds,
            )
        with MACHINES.changed:
            self._commands.sent[command.command_id] = command
            MACHINES.changed.notify_all()
        return ActionResult({"Command": _described(command)})

    def cancel_command(self) -> ActionResult:
        """CancelCommand: at once if it has not begun; else the agent is asked to."""
        command = self._commands.get(self._get_param("CommandId"))
        wanted = set(self._get_param("InstanceIds") or command.invocations)
        with MACHINES.changed:
            for invocation in command.invocations.values():
                if invocation.instance_id in wanted:
                    invocation.ask_to_cancel(_now())
            MACHINES.changed.notify_all()
        return EmptyResult()

    def list_commands(self) -> ActionResult:
        """ListCommands."""
        return ActionResult({"Commands": [_described(command) for command in self._asked()]})

    def list_command_invocations(self) -> ActionResult:
        """ListCommandInvocations, with each step's output if `Details` are asked for."""
        details, instance_id = self._get_param("Details"), self._get_param("InstanceId")
        listed = [
            _listed(command, invocation, bool(details))
            for command in self._asked()
            for invocation in command.invocations.values()
            if instance_id in (None, invocation.instance_id)
        ]
        return ActionResult({"CommandInvocations": listed})

    def get_command_invocation(self) -> ActionResult:
        """GetCommandInvocation: no output before the command has ended."""
        command = self._commands.get(self._get_param("CommandId"))
        invocation = command.invocations.get(self._get_param("InstanceId"))
        if invocation is None:
            raise AwsError(
                "InvocationDoesNotExist",
                "The command ID and managed node ID you specified didn't match any invocations.",
            )
        plugin = self._get_param("PluginName")
        if plugin not in (None, invocation.step):
            raise AwsError("InvalidPluginName", "The plugin name isn't valid.")
        return ActionResult(_invocation(command, invocation))

    def describe_instance_information(self) -> ActionResult:
        """DescribeInstanceInformation: instances whose agent has asked for commands."""
        asked = self._asked_instances()
        information = [
            {
                "InstanceId": instance.id,
                "PingStatus": "Online" if machine.online and instance.state == "running" else "ConnectionLost",
                "LastPingDateTime": machine.pinged,
                "AgentVersion": AGENT_VERSION,
                "IsLatestVersion": True,
                "PlatformType": "Linux",
                "PlatformName": "Amazon Linux",
                "PlatformVersion": "2023",
                "ResourceType": "EC2Instance",
                "IPAddress": instance.private_ip,
                "ComputerName": instance.private_dns_name,
            }
            for instance in ec2_backends[self.current_account][self.region].all_instances()
            if (machine := MACHINES.of(instance.id)).pinged and instance.state not in ("shutting-down", "terminated")
            if asked is None or instance.id in asked
        ]
        return ActionResult({"InstanceInformationList": information})

    def _asked_instances(self) -> set[str] | None:
        """Return the ids in the request's filters, of either of the two kinds that the API has; None for all."""
        older = "InstanceInformationFilterList"
        filters = [
            *((each["Key"], each["Values"]) for each in self._get_param("Filters") or []),
            *((each["key"], each["valueSet"]) for each in self._get_param(older) or []),
        ]
        ids = [set(values) for key, values in filters if key == "InstanceIds"]
        return set.intersection(*ids) if ids else None

    def _asked(self) -> Iterable[RunCommand]:
        command_id, instance_id = self._get_param("CommandId"), self._get_param("InstanceId")
        found = [self._commands.get(command_id)] if command_id else self._commands.all()
        return [command for command in found if instance_id is None or instance_id in command.invocations]

    def _script(
        self, name: str, version: str | None, parameters: Mapping[str, Sequence[str]]
    ) -> tuple[run_command.Script, str]:
        """Return the script of a document with its parameters, and the document's version."""
        if name in run_command.BUILT_IN:
            return run_command.script(run_command.BUILT_IN[name], parameters), "1"
        documents = ssm_backends[self.current_account][self.region]._get_documents(name)
        document = documents.find(None if version == "$DEFAULT" else version)
        if document.document_type != "Command":
            raise AwsError("InvalidDocument", f"{name} is of type {document.document_type}, not a Command document.")
        run_command.check_size(document.content, parameters)
        content = run_command.parsed(document.content, document.document_format)
        return run_command.script(content, parameters), document.document_version

    def _targeted(self, targets: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the running instances that match every target."""
        if not targets:
            return []
        found = ec2_backends[self.current_account][self.region].all_running_instances()
        return [instance.id for instance in found if all(_matches(instance, target) for target in targets)]

    def _refuse_unmanaged(self, instance_ids: Sequence[str]) -> None:
        instances = {each.id: each for each in ec2_backends[self.current_account][self.region].all_instances()}
        unfit = [
            each
            for each in instance_ids
            if each not in instances or instances[each].state != "running" or not MACHINES.of(each).pinged
        ]
        if unfit:
            message = f"Instances [[{', '.join(unfit)}]] not in a valid state for account {self.current_account}"
            raise AwsError("InvalidInstanceId", message)


def _matches(instance: Instance, target: Mapping[str, Any]) -> bool:
    key, values = target["Key"], target["Values"]
    if key == "InstanceIds":
        return instance.id in values
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    return tags.get(key.removeprefix("tag:")) in values if key.startswith("tag:") else False


def _described(command: RunCommand) -> dict[str, Any]:
    states = [each.status for each in command.invocations.values()]
    return {
        "CommandId": command.command_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "Parameters": command.parameters,
        "InstanceIds": list(command.invocations) if not command.targets else [],
        "Targets": command.targets,
        "RequestedDateTime": command.requested,
        "ExpiresAfter": command.requested
        + datetime.timedelta(seconds=command.timeout_seconds + command.script.timeout_seconds),
        "Status": command.status,
        "StatusDetails": command.status,
        "MaxConcurrency": "50",
        "MaxErrors": "0",
        "TargetCount": len(states),
        "CompletedCount": sum(each.over for each in command.invocations.values()),
        "ErrorCount": sum(state in ("Failed", "TimedOut") for state in states),
        "DeliveryTimedOutCount": sum(each.details == "DeliveryTimedOut" for each in command.invocations.values()),
        "TimeoutSeconds": command.timeout_seconds,
    }


def _listed(command: RunCommand, invocation: Invocation, details: bool) -> dict[str, Any]:
    plugin = {
        "Name": invocation.step,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "ResponseCode": invocation.code,
        "ResponseStartDateTime": invocation.started,
        "ResponseFinishDateTime": invocation.ended,
        "Output": run_command.truncated(_both(invocation), LISTED_OUTPUT),
    }
    return {
        "CommandId": command.command_id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "RequestedDateTime": command.requested,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": [plugin] if details else [],
    }


def _both(invocation: Invocation) -> str:
    errors = f"\n----------ERROR-------\n{invocation.stderr}" if invocation.stderr else ""
    return invocation.stdout + errors


def _invocation(command: RunCommand, invocation: Invocation) -> dict[str, Any]:
    started, ended = invocation.started, invocation.ended
    took = (ended - started).total_seconds() if started and ended else 0.0
    return {
        "CommandId": command.command_id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "PluginName": invocation.step,
        "ResponseCode": invocation.code,
        "ExecutionStartDateTime": _text(started),
        "ExecutionElapsedTime": f"PT{took:g}S",
        "ExecutionEndDateTime": _text(ended),
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": invocation.stdout,
        "StandardOutputUrl": "",
        "StandardErrorContent": invocation.stderr,
        "StandardErrorUrl": "",
    }


def _text(moment: datetime.datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else ""
