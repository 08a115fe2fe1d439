"""Show the rehearsed host's own memory in /proc/meminfo, and not that of the machine that it runs on.

The numbers are those of the host's control group, as lxcfs has them. lxcfs itself cannot run in the container: it reads
the file that it covers. Here a file is written anew each second and bound over /proc/meminfo.
"""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
FILE = Path("/run/devcloud/meminfo")
COVERED = Path("/proc/meminfo")
PAUSE_SECONDS = 1.0
OWN = "/init.scope"
"""The group below the host's own in which systemd puts itself."""


def group(membership: str) -> tuple[Path, int]:
    """Return the folder of the host's control group and its version, from the text of /proc/1/cgroup."""
    lines = [line.split(":", 2) for line in membership.splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return CONTROL_GROUPS / "memory" / path.removesuffix(OWN).lstrip("/"), 1
    path = next(path for number, _, path in lines if number == "0")
    return CONTROL_GROUPS / path.removesuffix(OWN).lstrip("/"), 2


def meminfo(limit: int, usage: int, stat: str, version: int) -> str:
    """Return the text of /proc/meminfo, from the bytes that a group may have and has, and its memory.stat."""
    numbers = {name: int(value) for name, value in (line.split() for line in stat.splitlines())}
    prefix = "total_" if version == 1 else ""
    cached = numbers["total_cache" if version == 1 else "file"]
    active, inactive = numbers[f"{prefix}active_file"], numbers[f"{prefix}inactive_file"]
    free = max(0, limit - usage)
    found: Mapping[str, int] = {
        "MemTotal": limit,
        "MemFree": free,
        # What the kernel would give back before it kills anything.
        "MemAvailable": min(limit, free + active + inactive),
        "Buffers": 0,
        "Cached": cached,
        "SwapCached": 0,
        "Active": active,
        "Inactive": inactive,
        "SwapTotal": 0,
        "SwapFree": 0,
        "Shmem": numbers[f"{prefix}shmem"],
        "SReclaimable": 0,
    }
    # As wide as the kernel writes them: the text has always the same length, and is replaced by one write.
    return "".join(f"{name + ':':<15}{value // 1024:>9} kB\n" for name, value in found.items())


def read(folder: Path, version: int) -> str:
    """Return the text of /proc/meminfo as of now."""
    limit, usage = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")
    )
    values = [int((folder / name).read_text()) for name in (limit, usage)]
    return meminfo(values[0], values[1], (folder / "memory.stat").read_text(), version)


def main() -> None:
    """Cover /proc/meminfo, and keep its text true."""
    folder, version = group(Path("/proc/1/cgroup").read_text())
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(read(folder, version))
    subprocess.run(["mount", "--bind", FILE, COVERED], check=True)
    with FILE.open("r+b", buffering=0) as file:
        while True:
            os.pwrite(file.fileno(), read(folder, version).encode(), 0)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
