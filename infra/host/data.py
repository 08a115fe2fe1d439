"""The data volume: found by serial number (Nitro) or device name (Xen), formatted only if blank, mounted before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from infra.host import docker
from infra.host.graph import DataVolume, Service
from infra.host.host import Host
from infra.host.outcome import HostError

FOLDER = PurePosixPath("/var/lib/slipway-data")
"""The folder that the volume is mounted on. Unmounted it stays empty: Docker then refuses a container's bind mount."""
LABEL = "slipway-data"
FORMAT_SECONDS = 300
WAIT_SECONDS = 30
"""How long an attachment that is under way is waited for: a first boot comes before it."""
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class _Device:
    """A block device, and the file system on it; empty for a blank one."""

    path: str
    kind: str


def candidates(volume: DataVolume) -> tuple[str, ...]:
    """Return the device names that a volume may have: by its serial number on Nitro, and by its place on Xen.

    On Nitro no device has a name like Xen's, so that a name alone never picks another volume.
    """
    serial = volume.id.replace("-", "")
    return (
        f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}",
        volume.device.replace("/dev/sd", "/dev/xvd", 1),
    )


def folder(service: Service) -> str:
    """Return the folder of a service's data on the volume."""
    return str(FOLDER / service.name)


def prepare(host: Host, service: Service) -> None:
    """Have the data of a service in its folder before it starts. Raises HostError.

    Its data is never on the system's disk: without the volume there is no folder, and the service does not start.
    """
    if service.volume is None:
        return
    mount(host)
    # A folder that its service was never ready with may be half made, and nothing that was acknowledged is in it.
    if host.machine.run(["test", "-e", folder(service)]).code != 0:
        host.must(["touch", _mark(service)], f"Making the folder of {service.name}")
    elif host.machine.run(["test", "-e", _mark(service)]).code == 0:
        host.say(f"{service.name}: its first start was interrupted, so its folder is made again")
        host.must(["rm", "-rf", folder(service)], f"Removing the folder of {service.name}", seconds=FORMAT_SECONDS)
    owner = str(service.user or 0)
    command = ["install", "--directory", "--mode=0700", f"--owner={owner}", f"--group={owner}", folder(service)]
    host.must(command, f"Making the folder of {service.name}")


def keep(host: Host, service: Service) -> None:
    """Note that a service was ready with its folder, which from now on is never made again. Raises HostError."""
    if service.volume is not None:
        host.must(["rm", "-f", _mark(service)], f"Keeping the folder of {service.name}")


def _mark(service: Service) -> str:
    """Return the file that stands beside a service's folder until the service was ready with it."""
    return f"{folder(service)}.new"


def mount(host: Host) -> None:
    """Mount the data volume, unless it is mounted. Raises HostError."""
    if is_mounted(host):
        return
    device = _wait_for_device(host)
    if not device.kind:
        host.say(f"the data volume {device.path} is blank: it is formatted")
        host.must(["mkfs.ext4", "-q", "-L", LABEL, device.path], "Formatting the data volume", seconds=FORMAT_SECONDS)
    elif device.kind != "ext4":
        raise HostError(
            f"The data volume {device.path} holds {device.kind} and not ext4, so that it is left alone: attach the "
            "volume with the data, or empty this one by hand."
        )
    host.must(["mkdir", "-p", str(FOLDER)], "Making the folder of the data volume")
    host.must(["mount", "-o", "noatime,nosuid,nodev", device.path, str(FOLDER)], "Mounting the data volume")
    # Fills a volume that has grown, and does nothing on any other. A database can start without it.
    grown = host.machine.run(["resize2fs", device.path], seconds=FORMAT_SECONDS)
    if grown.code != 0:
        host.say(f"the file system of the data volume keeps its size: {docker.last_line(grown.stderr)}")


def is_mounted(host: Host) -> bool:
    """Return True if the data volume is on its folder."""
    return host.machine.run(["mountpoint", "--quiet", str(FOLDER)]).code == 0


def _wait_for_device(host: Host) -> _Device:
    """Return the volume's device once it is attached. Raises HostError."""
    volume = host.graph.data_volume
    end = host.machine.now() + WAIT_SECONDS
    while True:
        for path in candidates(volume):
            if host.machine.run(["test", "-b", path]).code == 0:
                # blkid reports a device that cannot be read as blank; wipefs fails.
                found = host.must(
                    ["wipefs", "--no-act", "--noheadings", "--output", "TYPE", path], "Reading the data volume"
                )
                return _Device(path, " ".join(found.split()))
        if host.machine.now() >= end:
            raise HostError(
                f"The data volume {volume.id} is not attached to the host, so that no database was started: "
                "run `pulumi up`, or attach it."
            )
        host.machine.sleep(PAUSE_SECONDS)
