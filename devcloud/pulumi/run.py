"""Runs of the engine: one at a time for a stack, each on record, so that a dead one can be cleared away."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from devcloud.util.console import UserError, row
from devcloud.util.processes import alive, command_line, is_same, started_at, traced
from devcloud.util.waiting import wait_until

OWNER = "SLIPWAY_RUN_OWNER"
"""The variable by which a run's processes know who started them: pid, and its start (see processes.started_at)."""
GRACE_SECONDS = 20
"""How long a run that is ended may take to save its state."""


class Runs:
    """The runs of one cloud's stacks."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state

    @contextlib.contextmanager
    def start(
        self, stack: str, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path
    ) -> Iterator["subprocess.Popen[str]"]:
        """Start the engine in a session of its own, on record until it ends; Ctrl-C is passed on to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = os.getpid()
        process = subprocess.Popen(
            traced(arguments),
            env={**env, OWNER: f"{owner} {started_at(owner)}"},
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="replace",
        )
        record = self.folder / f"{stack}.json"
        record.write_text(
            json.dumps(
                {
                    "session": process.pid,
                    "started": started_at(process.pid),
                    "owner": owner,
                    "ownerStarted": started_at(owner),
                    "command": " ".join(arguments[:2]),
                }
            )
        )
        try:
            yield process
        except KeyboardInterrupt:
            row("pulumi", "ending, so that nothing is lost ...")
            process.send_signal(signal.SIGINT)
            raise
        finally:
            # Read to its end: a process whose output nobody takes may never come to one.
            for _ in process.stdout or ():
                pass
            if process.wait() < 0:
                # Killed: its plugins have heard nothing. The official ones look every five minutes whether it is there.
                _end_session(process.pid)
            record.unlink(missing_ok=True)

    def clear_dead(self, stack: str) -> bool:
        """End what a run that was killed left behind, and remove its lock. Whether there was any.

        A living run of ours is waited for: where only `make` was killed, what it started goes on by itself. Raises
        UserError where a run that is not ours works on the stack.
        """
        self._wait_for_living(stack)
        found = self._end_recorded(stack)
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
            found = True
        return found

    def _recorded(self, stack: str) -> dict[str, Any] | None:
        """What is on record of a stack's run; None where no run is."""
        record = self.folder / f"{stack}.json"
        try:
            found: dict[str, Any] = json.loads(record.read_text())
        except FileNotFoundError:
            return None
        except ValueError:  # killed while it was written
            return {"session": 0, "started": "", "owner": 0, "ownerStarted": "", "command": "a run"}
        return found

    def _wait_for_living(self, stack: str) -> None:
        """Wait while a run of ours works on the stack, and say so."""

        def living() -> dict[str, Any] | None:
            run = self._recorded(stack)
            return run if run and is_same(run["owner"], run["ownerStarted"]) else None

        def say_so() -> None:
            if run := living():
                what = f"`{run['command']}` of stack {stack} is under way (process {run['owner']})"
                row("pulumi", f"{what}; waiting for it")

        wait_until(lambda: not living(), pause=0.2, meanwhile=say_so)

    def _end_recorded(self, stack: str) -> bool:
        record = self.folder / f"{stack}.json"
        run = self._recorded(stack)
        if run is None:
            return False
        session = run["session"]
        # The leader may be gone while its plugins live on: they stay in its session, whose id is not given anew.
        if session and started_at(session) in ("", run["started"]):
            _end_session(session)
        record.unlink(missing_ok=True)
        return True


def _end_session(session: int) -> None:
    """Ask the engine to stop and save its state; end what is left."""
    if not (processes := _session_members(session)):
        return
    row("pulumi", f"ending {len(processes)} process(es) of a run that was killed")
    for leader, member in ((signal.SIGINT, signal.SIGTERM), (signal.SIGKILL, signal.SIGKILL)):
        for pid in _session_members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, leader if pid == session else member)
        if wait_until(lambda: not _session_members(session), GRACE_SECONDS):
            return


def _holder(lock: Path) -> int:
    """The process that a lock of the engine's names; 0 where it was cut short."""
    try:
        return int(json.loads(lock.read_text()).get("pid", 0))
    except ValueError:
        return 0


def _session_members(session: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == session and alive(pid):
                found.append(pid)
    return found


def _is_orphan(pid: int) -> bool:
    """Return whether a process is of a run of ours whose owner is dead."""
    with contextlib.suppress(psutil.Error):
        owner, _, began = psutil.Process(pid).environ().get(OWNER, "").partition(" ")
        return bool(owner) and not is_same(int(owner), began)
    return False
