"""Keep what is known of the machines behind EC2's instances: the data plane runs them, their agents take commands.

The emulator itself runs nothing. It says what should run (`wanted`), and is told what does (`report`). Without a data
plane an instance is running as soon as it is asked for, as in moto.
"""

import datetime
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance

ONLINE_SECONDS = 60.0
"""An agent asks for commands all the time; one that has not for so long has lost its connection."""
CONSOLE_BYTES = 64 * 1024
"""GetConsoleOutput returns the last bytes, so many."""
PUBLISHED_PORTS = 16
"""The most ports of one rule that are published: a rule for thousands means programs that ask for them one by one."""
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
REPORTS = {
    ("pending", "running"),
    ("running", "stopped"),  # its system was shut down from inside
    ("stopping", "stopped"),
    ("shutting-down", "terminated"),
    ("pending", "terminated"),  # it could not be started
}
"""Which state the data plane may report of an instance in which state; any other report came too late."""


@dataclass
class Machine:
    """One instance, as the data plane and the agent described it."""

    address: str = ""
    """Its address on the cloud's network."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The secret by which the emulator knows its agent."""
    console: str = ""
    console_at: datetime.datetime | None = None
    reboots: int = 0
    """How often a reboot was asked for."""
    rebooted: int = 0
    """How many of those were done."""
    polled: float | None = None
    """When the agent last asked for commands, by the monotonic clock."""
    pinged: datetime.datetime | None = None

    @property
    def online(self) -> bool:
        return self.polled is not None and time.monotonic() - self.polled < ONLINE_SECONDS


@dataclass
class Machines:
    """The machines of all accounts, by instance id."""

    managed: bool = False
    """Whether a data plane runs the instances."""
    metadata_port: int = 0
    """The port of the metadata service, at the address of this machine that the instances see."""
    found: dict[str, Machine] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Notified when there is something new for an agent."""

    def of(self, instance_id: str) -> Machine:
        return self.found.setdefault(instance_id, Machine())

    def at(self, address: str) -> Instance | None:
        """Return the instance that has an address on the cloud's network, if one has."""
        for instance in instances():
            if self.of(instance.id).address == address and instance.state in ("pending", "running", "stopping"):
                return instance
        return None

    def wanted(self) -> list[dict[str, Any]]:
        """Return what the data plane must know of each instance that is not terminated."""
        return [self._wanted(instance) for instance in instances() if instance.state != "terminated"]

    def _wanted(self, instance: Instance) -> dict[str, Any]:
        machine, kind = self.of(instance.id), INSTANCE_TYPES[instance.instance_type]
        primary = instance.nics[0]
        return {
            "id": instance.id,
            "state": instance.state,
            "memoryMib": kind["MemoryInfo"]["SizeInMiB"],
            "cpus": kind["VCpuInfo"]["DefaultVCpus"],
            "privateAddress": instance.private_ip,
            "publish": published(instance),
            "inbound": inbound(instance),
            "token": machine.token,
            "metadataPort": self.metadata_port,
            "hopLimit": instance.metadata_options.http_put_response_hop_limit,
            "reboots": machine.reboots - machine.rebooted,
            "volumes": [
                {"id": device.volume_id, "device": path, "sizeGib": device.size}
                for path, device in instance.get_block_device_mapping
                if path != instance.root_device_name
            ],
            "mac": primary.mac_address,
        }

    def report(self, instance_id: str, report: dict[str, Any]) -> None:
        """Take what the data plane says: `state`, `address`, `console`, `rebooted`, `reason`, each if it is new."""
        instance = next((each for each in instances() if each.id == instance_id), None)
        if instance is None:
            return
        machine = self.of(instance_id)
        if "address" in report:
            machine.address = report["address"]
        if "console" in report:
            machine.console = report["console"][-CONSOLE_BYTES:]
            machine.console_at = datetime.datetime.now(datetime.UTC)
        machine.rebooted += report.get("rebooted", 0)
        state = report.get("state")
        if state and (instance.state, state) in REPORTS:
            set_state(instance, state)
            if state == "terminated":
                release_interfaces(instance)
            if reason := report.get("reason"):
                instance.state_reason.code = "Server.InternalError"
                instance.state_reason.message = f"Server.InternalError: {reason}"


def instances() -> Iterator[Instance]:
    """Yield every instance of every account and region."""
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            for reservation in list(backend.reservations.values()):
                yield from list(reservation.instances)


def volumes() -> list[str]:
    """Return the ids of the volumes of every account and region."""
    backends = [backend for account in list(ec2_backends.values()) for backend in list(account.values())]
    return [volume for backend in backends for volume in list(backend.volumes)]


def set_state(instance: Instance, state: str) -> None:
    instance._state.name, instance._state.code = state, STATES[state]


def release_interfaces(instance: Instance) -> None:
    """Let go of the network interfaces that outlast an instance: moto keeps them with it."""
    for interface in list(instance.nics.values()):
        if not interface.delete_on_termination and interface.instance is instance:
            interface.instance = None
            interface.attachment_id = None
            interface.attach_time = None
            interface.status = "available"


def published(instance: Instance) -> list[dict[str, Any]]:
    """Return the address and port of each door to the world: ports that a rule opens for addresses, if it has one."""
    address = instance.public_ip
    if not address:
        return []
    ports = sorted({port for rule in _open(instance.nics[0].group_set) for port in rule})
    return [{"address": address, "port": port} for port in ports]


def inbound(instance: Instance) -> list[dict[str, Any]]:
    """Return each rule of an instance's security groups for what comes in. Prefix lists and IPv6 open nothing."""
    return [
        {
            "protocol": rule.ip_protocol,
            "from": rule.from_port,
            "to": rule.to_port,
            "cidr": rule.ip_range.get("CidrIp"),
            "group": rule.source_group.get("GroupId"),
        }
        for group in instance.nics[0].group_set
        for rule in group.ingress_rules
    ]


def _open(groups: Iterable[Any]) -> Iterator[range]:
    for group in groups:
        for rule in group.ingress_rules:
            ports = range(rule.from_port or 0, (rule.to_port or 0) + 1)
            if rule.ip_protocol == "tcp" and rule.ip_range and len(ports) <= PUBLISHED_PORTS:
                yield ports


MACHINES = Machines()
"""Those of this process."""
