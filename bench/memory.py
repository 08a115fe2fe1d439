"""The memory of a container's processes, from the kernel: resident now, and at their peak."""

import re
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
KIB_PER_MIB = 1024


def processes(pid: int, proc: Path = PROC, cgroups: Path = CGROUPS) -> list[int]:
    """The processes in the control group of a container, whose first process is `pid`; by cgroup v1 or v2."""
    path = group((proc / str(pid) / "cgroup").read_text())
    for folder in (cgroups / "memory" / path, cgroups / path):
        file = folder / "cgroup.procs"
        if file.exists():
            return [int(line) for line in file.read_text().split()]
    return [pid]


def group(text: str) -> str:
    """The path of the memory control group in a /proc/PID/cgroup, relative to the controller's folder."""
    lines = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return path.lstrip("/")
    return next((path.lstrip("/") for number, _, path in lines if number == "0"), "")


def resident_mib(pids: Sequence[int], proc: Path = PROC) -> float:
    """What the processes hold in memory now, together, in MiB."""
    return _sum(pids, "VmRSS", proc)


def peak_mib(pids: Sequence[int], proc: Path = PROC) -> float:
    """The most that each of the processes ever held, together, in MiB."""
    return _sum(pids, "VmHWM", proc)


def _sum(pids: Sequence[int], field: str, proc: Path) -> float:
    total = 0
    for pid in pids:
        try:
            status = (proc / str(pid) / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / KIB_PER_MIB
