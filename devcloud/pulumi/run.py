"""Run Pulumi's CLI: one run at a time for a stack, each on record, so that the next one can clear up a killed one."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from devcloud.util.console import UserError, row
from devcloud.util.files import replace_text
from devcloud.util.processes import alive, command_line, is_same, started_at, traced
from devcloud.util.waiting import wait_until

OWNER = "SLIPWAY_RUN_OWNER"
"""The variable that tells a run's processes who started them: pid, and its start (see processes.started_at)."""
GRACE_SECONDS = 20
"""How long a run may take to save its state once it is told to end."""


class Runs:
    """The runs of one cloud's stacks."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state

    def run(
        self, stack: str, command: Sequence[str], on_line: Callable[[str], object], *, env: Mapping[str, str], cwd: Path
    ) -> int:
        """Run a command in a session of its own, on record until it ends. Return its exit code.

        `on_line` is called with each line of output. Ctrl-C is passed on to Pulumi, which then saves its state.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = os.getpid()
        process = subprocess.Popen(
            traced(command),
            env={**env, OWNER: f"{owner} {started_at(owner)}"},
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="replace",
        )
        record = {
            "session": process.pid,
            "started": started_at(process.pid),
            "owner": owner,
            "ownerStarted": started_at(owner),
            "command": " ".join(command[:2]),
        }
        replace_text(self._file(stack), json.dumps(record))
        output = process.stdout or ()
        try:
            for line in output:
                on_line(line)
        except KeyboardInterrupt:
            row("pulumi", "ending, so that nothing is lost ...")
            process.send_signal(signal.SIGINT)
            raise
        finally:
            for _ in output:
                pass  # a process whose output nobody reads may never end
            if process.wait() < 0:
                # Its plugins were not told that it was killed: the official ones check that every five minutes.
                _end_session(process.pid)
            self._file(stack).unlink(missing_ok=True)
        return process.returncode

    def clear_dead(self, stack: str) -> None:
        """Wait for a run of ours to end; end what a killed one left behind, and remove its lock.

        If only `make` was killed, its run goes on by itself, and is waited for. Raise UserError if a run that is not
        ours works on the stack.
        """
        self._wait_for_living(stack)
        if run := self._record(stack):
            # The leader may be gone, but its plugins may live: the number of their session is not used again.
            if started_at(run["session"]) in ("", run["started"]):
                _end_session(run["session"])
            self._file(stack).unlink(missing_ok=True)
        for lock in (self.state / ".pulumi" / "locks").rglob(f"{stack}/*.json"):
            holder = _holder(lock)
            if _is_orphan(holder):
                _end_session(os.getsid(holder))  # killed before it was on record
            elif "pulumi" in command_line(holder):
                raise UserError(
                    f"Stack {stack} is locked by a run of Pulumi that is alive (process {holder}): "
                    "wait until it is done, or end it."
                )
            lock.unlink()
            row("pulumi", f"removed the lock of process {holder}, which is dead")

    def _file(self, stack: str) -> Path:
        return self.folder / f"{stack}.json"

    def _record(self, stack: str) -> dict[str, Any]:
        """Return the record of a stack's run, empty if there is none or a crash cut it short."""
        try:
            found: dict[str, Any] = json.loads(self._file(stack).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _wait_for_living(self, stack: str) -> None:
        def living() -> dict[str, Any] | None:
            run = self._record(stack)
            return run if run and is_same(run["owner"], run["ownerStarted"]) else None

        def say_so() -> None:
            if run := living():
                what = f"`{run['command']}` of stack {stack} is under way (process {run['owner']})"
                row("pulumi", f"{what}; waiting for it")

        wait_until(lambda: not living(), pause=0.2, meanwhile=say_so)


def _end_session(session: int) -> None:
    """Tell Pulumi to stop and save its state; kill what does not end."""
    if not (processes := _session_members(session)):
        return
    row("pulumi", f"ending {len(processes)} process(es) of a run that was killed")
    for leader, member in ((signal.SIGINT, signal.SIGTERM), (signal.SIGKILL, signal.SIGKILL)):
        for pid in _session_members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, leader if pid == session else member)
        if wait_until(lambda: not _session_members(session), GRACE_SECONDS):
            return


def _session_members(session: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == session and alive(pid):
                found.append(pid)
    return found


def _holder(lock: Path) -> int:
    """Return the process that one of Pulumi's locks names, 0 if the lock was cut short."""
    try:
        return int(json.loads(lock.read_text()).get("pid", 0))
    except ValueError:
        return 0


def _is_orphan(pid: int) -> bool:
    """Return whether a process is of a run of ours whose owner is dead."""
    with contextlib.suppress(psutil.Error):
        owner, _, began = psutil.Process(pid).environ().get(OWNER, "").partition(" ")
        return bool(owner) and not is_same(int(owner), began)
    return False
