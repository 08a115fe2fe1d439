"""Processes: which one runs, which one it is, and how a group ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devcloud.util.processes import alive, command_line, end_group, is_same, started_at, wait_for_end
from devcloud.util.waiting import wait_until


def test_a_process_that_nobody_reaped_does_not_run() -> None:
    zombie = subprocess.Popen(["true"])
    try:
        assert wait_for_end([zombie.pid], 5)
        assert Path(f"/proc/{zombie.pid}").exists()
        assert command_line(zombie.pid) == ""
    finally:
        zombie.wait()
    assert not alive(zombie.pid)
    assert started_at(zombie.pid) == ""


def test_the_start_of_a_process_is_the_kernels_own_count_whatever_the_clock_says() -> None:
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert int(started_at(os.getpid())) == int(ticks) * 100 // os.sysconf("SC_CLK_TCK")


def test_another_process_with_the_same_id_is_not_the_same() -> None:
    assert is_same(os.getpid(), started_at(os.getpid()))
    assert not is_same(os.getpid(), "1")
    assert not is_same(os.getpid(), "")


def test_a_process_is_known_by_its_command_line() -> None:
    assert "pytest" in command_line(os.getpid())
    assert command_line(0) == ""


@pytest.mark.services
def test_a_group_that_does_not_listen_is_killed() -> None:
    deaf = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.write(1, f'{os.fork()}\\n'.encode())\ntime.sleep(60)"
    )
    leader = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout
    member = max(int(leader.stdout.readline()), int(leader.stdout.readline()))
    end_group(leader.pid, signal.SIGTERM, 0.2)
    assert leader.wait() == -signal.SIGKILL
    assert wait_until(lambda: not alive(member), 5)
