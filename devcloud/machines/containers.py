"""An instance as a container: the command that makes it, and the files that are its own. Pure functions.

The container is a small machine: systemd is its first process, a Docker engine of its own can be installed on it, and
all of it is held to the instance's memory and CPU.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devcloud.machines.inbound import Rule
from devcloud.machines.volumes import Volume

CLOUD_LABEL = "slipway.cloud"
"""Every container and network of ours carries it, with the name of its cloud: what is left goes with the cloud."""
INSTANCE_LABEL = "slipway.instance"
GROUPS_LABEL = "slipway.groups"
"""The label of a container that is a task, with the security groups of its network interface."""
KERNEL_MIB, SYSTEM_MIB = 88, 150
"""The memory that an instance's kernel takes, and that Amazon Linux takes more than the host image (estimates from
shared/reviews/host-and-worker.md): without them a rehearsed host would have more than a real one."""
STOP_SECONDS = 30
"""How long a host may take to shut down before its power is cut."""

SETTINGS = "etc/devcloud/machine.json"
"""The file by which a host knows itself. It has the agent's token, so only root may read it."""
DROPPED = ("SYS_RESOURCE", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "WAKE_ALARM")
"""Capabilities that a host has no use for, and that would reach the machine's own kernel, clock and ports."""
LOOP_DEVICES = "b 7:* rwm"
"""The disks that a host may use, besides the devices of every container: its volumes are loop devices."""


@dataclass(frozen=True)
class Place:
    """The cloud that the containers belong to, and its addresses."""

    cloud: str
    network: str
    gateway: str
    """This machine's address as the containers see it."""
    image: str
    aws_port: int
    registry_port: int
    cgroup_version: int


@dataclass(frozen=True)
class Door:
    """A port that the world may use, and the address that it is published on."""

    address: str
    port: int


@dataclass(frozen=True)
class Wanted:
    """One instance as the emulator describes it."""

    id: str
    state: str
    memory_mib: int
    cpus: int
    private_address: str
    doors: tuple[Door, ...]
    hop_limit: int
    reboots: int
    """How many reboots were asked for and not done."""
    token: str = field(repr=False)
    """The secret by which the emulator knows its agent."""
    metadata_port: int
    """The port at `Place.gateway` where the emulator serves it its metadata."""
    inbound: tuple[Rule, ...] = ()
    """The rules of its security groups."""
    volumes: tuple[Volume, ...] = ()
    """The disks beside its own."""

    @classmethod
    def parse(cls, said: Mapping[str, object]) -> "Wanted":
        """Return what a description of the emulator's says."""
        fields = json.loads(json.dumps(said))
        return cls(
            id=fields["id"],
            state=fields["state"],
            memory_mib=fields["memoryMib"],
            cpus=fields["cpus"],
            private_address=fields["privateAddress"],
            doors=tuple(Door(door["address"], door["port"]) for door in fields["publish"]),
            hop_limit=fields["hopLimit"],
            reboots=fields["reboots"],
            token=fields["token"],
            metadata_port=fields["metadataPort"],
            inbound=tuple(Rule.parse(each) for each in fields["inbound"]),
            volumes=tuple(Volume(each["id"], each["device"], each["sizeGib"]) for each in fields["volumes"]),
        )


def name_of(place: Place, instance_id: str) -> str:
    """Return the name of an instance's container."""
    return f"slipway-{place.cloud}-{instance_id}"


def create(place: Place, wanted: Wanted) -> list[str]:
    """Return the arguments of `docker create` for an instance.

    Not --privileged, nor every capability: where Docker itself runs without CAP_SYS_RESOURCE, it refuses both. A
    terminal, so that /dev/console is what `docker logs` shows. /var/lib/docker is a volume, since an overlay cannot
    hold another's.
    """
    arguments = [
        *("create", "--name", name_of(place, wanted.id), "--hostname", hostname(wanted)),
        *("--label", f"{CLOUD_LABEL}={place.cloud}", "--label", f"{INSTANCE_LABEL}={wanted.id}"),
        *("--network", place.network, "--tty", "--stop-signal", "SIGRTMIN+3", "--stop-timeout", str(STOP_SECONDS)),
        *limits(wanted),
        *("--cap-add", "ALL", *(word for name in DROPPED for word in ("--cap-drop", name))),
        *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
        *("--security-opt", "systempaths=unconfined", "--device-cgroup-rule", LOOP_DEVICES),
        *("--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),  # noqa: S108  inside the container
        *("--volume", "/var/lib/docker", "--volume", "/var/lib/containerd"),
        *("--env", "container=docker", "--env", "SYSTEMD_COLORS=0", "--log-opt", "max-size=4m"),
    ]
    if place.cgroup_version == 1:
        arguments += ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    else:  # untried: no machine of ours has it
        arguments += ["--cgroupns", "private"]
    for door in wanted.doors:
        arguments += ["--publish", f"{door.address}:{door.port}:{door.port}"]
    return [*arguments, place.image]


def update(place: Place, wanted: Wanted) -> list[str]:
    """Return the arguments of `docker update` for an instance that may have another type since it was made."""
    return ["update", *limits(wanted), name_of(place, wanted.id)]


def limits(wanted: Wanted) -> list[str]:
    """Return the options that hold an instance to the memory and the processors of its type."""
    memory = f"{wanted.memory_mib - KERNEL_MIB - SYSTEM_MIB}m"
    return ["--memory", memory, "--memory-swap", memory, "--cpus", str(wanted.cpus)]


def hostname(wanted: Wanted) -> str:
    """Return the name that EC2 gives an instance."""
    return f"ip-{wanted.private_address.replace('.', '-')}"


def files(place: Place, wanted: Wanted) -> dict[str, str]:
    """Return the files that make a container this instance's host, by their paths."""
    aws = f"http://{place.gateway}:{place.aws_port}"
    settings = {
        "instance": wanted.id,
        "privateAddress": wanted.private_address,
        "token": wanted.token,
        "hopLimit": wanted.hop_limit,
        "gateway": place.gateway,
        "aws": aws,
        "metadataPort": wanted.metadata_port,
        "registryPort": place.registry_port,
    }
    return {
        SETTINGS: json.dumps(settings, indent=1) + "\n",
        # Every unit finds the emulator where on AWS it would find AWS.
        "etc/systemd/system.conf.d/10-devcloud.conf": f"[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={aws}\n",
        # Without one, systemd takes each boot for the first, and enables every unit.
        "etc/machine-id": hashlib.md5(wanted.id.encode(), usedforsecurity=False).hexdigest() + "\n",
    }


def states(lines: Sequence[str]) -> dict[str, str]:
    """Return the state of each container by instance id, from lines of `<instance id> <state>`."""
    return dict(line.split(maxsplit=1) for line in lines if line.strip())
