"""Measure the memory of a container's processes: resident now, and at their peak."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

KIB_PER_MIB = 1024


def processes(pid: int) -> list[int]:
    """Return the processes of a container whose first process is `pid`.

    All descend from it: inside a container, the first process adopts every orphan.
    """
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def resident_mib(pids: Iterable[int]) -> float:
    """Return the memory that the processes hold now, together, in MiB."""
    return sum(_read(pid, "VmRSS") for pid in pids) / KIB_PER_MIB


def peak_mib(pids: Iterable[int]) -> float:
    """Return the sum of each process's own peak, in MiB."""
    return sum(_read(pid, "VmHWM") for pid in pids) / KIB_PER_MIB


def _read(pid: int, field: str) -> int:
    """Return a field of the kernel's report on a process, in KiB; 0 if the process has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/status").read_text()
        if found := re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE):
            return int(found[1])
    return 0
