"""Runs of the engine: one at a time for a stack, each on record, so that a dead one can be cleared away."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from devcloud.console import Refusal, row
from devcloud.process import alive, started_at

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
        process = subprocess.Popen(
            arguments,
            env=env,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="replace",
        )
        record = self.folder / f"{stack}.json"
        owner = os.getpid()
        record.write_text(
            json.dumps(
                {
                    "session": process.pid,
                    "started": started_at(process.pid),
                    "owner": owner,
                    "ownerStarted": started_at(owner),
                    "command": " ".join(arguments[1:3]),
                }
            )
        )
        try:
            yield process
        except KeyboardInterrupt:
            row("pulumi", "ending, so that nothing is lost ...")
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        finally:
            if process.poll() is None:
                process.wait()
            record.unlink(missing_ok=True)

    def clear_dead(self, stack: str) -> bool:
        """End what a run that was killed left behind, and remove its lock. Whether there was any.

        Raises Refusal where a living run works on the stack.
        """
        found = self._end_recorded(stack)
        for lock in (self.state / ".pulumi" / "locks").rglob(f"{stack}/*.json"):
            holder = json.loads(lock.read_text()).get("pid", 0)
            if alive(holder) and _is_engine(holder):
                raise Refusal(
                    f"Stack {stack} is locked by a run of Pulumi that is alive (process {holder}): "
                    "wait until it is done, or end it."
                )
            lock.unlink()
            row("pulumi", f"removed the lock of process {holder}, which is dead")
            found = True
        return found

    def _end_recorded(self, stack: str) -> bool:
        record = self.folder / f"{stack}.json"
        if not record.exists():
            return False
        try:
            run = json.loads(record.read_text())
        except ValueError:  # killed while it was written
            run = {"session": 0, "started": "", "owner": 0, "ownerStarted": "", "command": "a run"}
        if alive(run["owner"]) and started_at(run["owner"]) == run["ownerStarted"]:
            raise Refusal(
                f"`pulumi {run['command']}` of stack {stack} is under way (process {run['owner']}): "
                "wait until it is done, or end it."
            )
        session = run["session"]
        # The leader may be gone while its plugins live on: they stay in its session, whose id is not given anew.
        if session and started_at(session) in ("", run["started"]):
            processes = _session_members(session)
            if processes:
                row("pulumi", f"ending {len(processes)} process(es) of a run that was killed")
                _end(session, processes)
        record.unlink(missing_ok=True)
        return True


def _end(session: int, processes: list[int]) -> None:
    """Ask the engine to stop and save its state; end what is left."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT if pid == session else signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while _session_members(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in _session_members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _session_members(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == session:
                    found.append(int(entry.name))
    return found


def _is_engine(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
