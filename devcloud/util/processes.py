"""Run commands, and find, recognise and end processes. `V=1` prints each command before it runs."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from devcloud.util.console import MachineError, UserError, say
from devcloud.util.waiting import wait_until


def traced(command: Sequence[str]) -> Sequence[str]:
    """Return a command that is about to run; print it first if the environment has `V=1`."""
    if os.environ.get("V") == "1":
        say(f"+ {shlex.join(masked(command))}")
    return command


def masked(command: Sequence[str]) -> list[str]:
    """Return a command with `***` for what may be secret: credentials in a URL, and values of Pulumi's `--config`."""
    words = [re.sub(r"(?<=://)[^/@]+@", "***@", word) for word in command]
    if Path(words[0]).name != "pulumi":
        return words
    for place, before in enumerate(words[:-1]):
        if before in ("-c", "--config"):
            words[place + 1] = re.sub(r"=.*", "=***", words[place + 1], flags=re.DOTALL)
    return [re.sub(r"^(--config=|-c)([^=]+=).*", r"\1\2***", word, flags=re.DOTALL) for word in words]


def output(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 120,
    stdin: str | None = None,
) -> str:
    """Return the standard output of a command. Raise UserError with the end of its output if it fails."""
    try:
        done = subprocess.run(
            traced(arguments),
            capture_output=True,
            text=True,
            env=env,
            cwd=cwd,
            timeout=timeout,
            input=stdin,
            check=False,
        )
    except FileNotFoundError:
        raise MachineError(
            f"{arguments[0]} is not on this machine; run `make up`, which installs what it needs."
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"`{' '.join(arguments[:4])} ...` did not end within {timeout:.0f} s.") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise UserError(f"`{' '.join(arguments[:4])} ...` failed (exit {done.returncode}): {' / '.join(said[-4:])}")
    return done.stdout


def alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not: its parent may never reap it."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def wait_for_end(pids: Iterable[int], limit: float) -> bool:
    """Wait until none of the processes runs, for at most `limit` seconds. Return whether that is so.

    psutil's own wait_procs() also waits for zombies.
    """
    return wait_until(lambda: not any(map(alive, pids)), limit, pause=0.05)


def end_group(pid: int, number: signal.Signals, limit: float) -> None:
    """Send a signal to a process group, wait `limit` seconds for its leader, and kill what is left of the group."""
    for each in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, each)
        wait_for_end([pid], limit)


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it does not run."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def started_at(pid: int) -> str:
    """Return the start of a process in hundredths of a second since boot; empty if there is no such process.

    With its id, it identifies one process for ever, even if the clock is set meanwhile.
    """
    try:
        return str(round((psutil.Process(pid).create_time() - psutil.boot_time()) * 100))
    except psutil.NoSuchProcess:
        return ""


def is_same(pid: int, start: str) -> bool:
    """Return whether the process of that id which began at `start` (see started_at) still runs."""
    return alive(pid) and started_at(pid) == start


def unmount_below(folder: Path) -> None:
    """Unmount what a killed process left mounted: below a folder, or made of what is below it."""
    mounts = psutil.disk_partitions(all=True)
    found = [each.mountpoint for each in mounts if f"{folder}/" in f"{each.device} {each.mountpoint} {each.opts}"]
    for mount in sorted(found, reverse=True):
        subprocess.run(traced(["umount", "--lazy", mount]), check=False, capture_output=True)


def detach_loops_below(folder: Path) -> None:
    """Free the loop devices that are files below a folder."""
    command = ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"]
    try:
        done = subprocess.run(traced(command), check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return
    for line in done.stdout.splitlines():
        loop, _, file = line.partition(" ")
        if file.strip().startswith(f"{folder}/"):
            subprocess.run(traced(["losetup", "--detach", loop]), check=False, capture_output=True)
