"""Memory of a container's processes, from the kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import memory

HOLDS_MIB = 64
CHILD = f"import sys; held = b'x' * ({HOLDS_MIB} << 20); del held; print(1, flush=True); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def container() -> Iterator[int]:
    """Yield the first process of several; its child held memory and gave it back."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"1\n"
        yield parent.pid
        parent.communicate()


def test_all_processes_below_the_first_count(container: int) -> None:
    pids = memory.processes(container)
    assert pids[0] == container
    assert len(pids) == 2
    assert memory.resident_mib(pids) > memory.resident_mib([container]) > 0


def test_a_peak_outlasts_the_memory(container: int) -> None:
    _, child = memory.processes(container)
    assert memory.peak_mib([child]) >= HOLDS_MIB
    assert memory.resident_mib([child]) < HOLDS_MIB


def test_a_process_that_has_ended_holds_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert memory.resident_mib([ended.pid]) == 0
    assert memory.resident_mib([os.getpid(), ended.pid]) == pytest.approx(memory.resident_mib([os.getpid()]), rel=0.1)
