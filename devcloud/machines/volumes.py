"""EBS volumes as files of this machine, which hosts see as disks by loop devices."""

import os
import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from devcloud.util.processes import output

GIB = 1024**3


@dataclass(frozen=True)
class Volume:
    """A volume that is attached to an instance."""

    id: str
    device: str
    """Its name in the API, `/dev/sdf`."""
    size_gib: int

    @property
    def node(self) -> str:
        """The device's name on the host: Xen's driver, which a t2 has, says xvd for sd.

        Raises ValueError for a name that EC2 has not: it goes to a shell of the host.
        """
        if re.fullmatch(r"/dev/(sd|xvd)[a-z][0-9]{0,2}", self.device) is None:
            raise ValueError(f"{self.device!r} is no device of EC2's, such as /dev/sdf.")
        return self.device.replace("/dev/sd", "/dev/xvd", 1)


class Volumes:
    """The volumes' files in a folder, each of the volume's size, taking only the disk that was written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, volume: Volume) -> tuple[int, int]:
        """Return the numbers of the device that a volume is; one that has grown gets its new size."""
        file = self._file(volume.id)
        self.folder.mkdir(parents=True, exist_ok=True)
        grown = file.exists() and file.stat().st_size < volume.size_gib * GIB
        with file.open("ab") as content:
            content.truncate(max(file.stat().st_size, volume.size_gib * GIB))
        loop = self._loop(file) or output(["losetup", "--find", "--show", str(file)]).strip()
        if grown:
            output(["losetup", "--set-capacity", loop])
        numbers = Path(loop).stat().st_rdev
        return os.major(numbers), os.minor(numbers)

    def close(self, volume_id: str) -> None:
        """Free the device of a volume that no host has."""
        if loop := self._loop(self._file(volume_id)):
            output(["losetup", "--detach", loop])

    def forget_all_but(self, known: Container[str]) -> None:
        """Delete the files of volumes that were deleted."""
        for file in self.folder.glob("vol-*.img"):
            if file.stem not in known:
                self.close(file.stem)
                file.unlink()

    def _file(self, volume_id: str) -> Path:
        return self.folder / f"{volume_id}.img"

    def _loop(self, file: Path) -> str:
        """Return the device that a file is; empty if it is none."""
        found = output(["losetup", "--noheadings", "--output", "NAME", "--associated", str(file)]).split()
        return found[0] if found else ""
