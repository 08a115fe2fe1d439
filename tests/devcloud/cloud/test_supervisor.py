"""A group of background processes, started and ended as one."""

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.cloud.supervisor import Program, Supervisor
from devcloud.util.console import UserError
from devcloud.util.processes import alive
from devcloud.util.waiting import wait_until

pytestmark = pytest.mark.services

SLEEP = Program("sleeper", ["sleep", "60"], priority=1)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path)
    yield found
    found.stop()


def started(supervisor: Supervisor) -> int:
    """Start the sleeper; its process."""
    supervisor.start([SLEEP])
    supervisor.start_program("sleeper")
    pid: int = supervisor.states()["sleeper"]["pid"]
    # Until then it is a fork of supervisord, by whose environment nobody would know it.
    deadline = time.monotonic() + 10
    while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pid


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_stopping_ends_every_process(supervisor: Supervisor) -> None:
    pid = started(supervisor)
    supervisor.stop()
    assert not alive(pid)
    assert not supervisor.running()


def test_any_character_may_stand_in_a_folders_name(tmp_path: Path) -> None:
    folder = tmp_path / "o'brien 5% (s)"
    supervisor = Supervisor(folder)
    script = 'printf "%s\\n" "$0" "$PLACE"; exec sleep 60'
    program = Program("speaker", ["sh", "-c", script, str(folder)], 1, environment={"PLACE": str(folder)})
    supervisor.start([program])
    try:
        supervisor.start_program("speaker")
        log = supervisor.logs / "speaker.log"
        wait_until(lambda: log.read_text().count("\n") == 2, 10)
        assert log.read_text().splitlines() == [str(folder), str(folder)]
    finally:
        supervisor.stop()
    assert not supervisor.running()


def test_what_a_killed_supervisord_left_running_is_ended_before_it_is_started_anew(supervisor: Supervisor) -> None:
    orphan = started(supervisor)
    daemon = int(supervisor.pid_file.read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_until_gone(daemon)
    assert alive(orphan)
    assert started(supervisor) != orphan
    wait_until_gone(orphan)
    assert not alive(orphan)


def test_what_a_killed_supervisord_left_running_is_ended_when_it_is_stopped(supervisor: Supervisor) -> None:
    orphan = started(supervisor)
    daemon = int(supervisor.pid_file.read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_until_gone(daemon)
    supervisor.stop()
    wait_until_gone(orphan)
    assert not alive(orphan)


def test_a_program_that_does_not_get_ready_is_refused_by_its_title(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = dataclasses.replace(SLEEP, title="the sleeper", listens=tmp_path / "no.sock", patience=0.1)
    supervisor.start([deaf])
    with pytest.raises(UserError, match=r"The sleeper did not answer within 0 s\."):
        supervisor.bring_up([deaf])
    assert supervisor.states()["sleeper"]["statename"] == "RUNNING"
