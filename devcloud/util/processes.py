"""Run a command and, if it fails, say which one and what it said last. `V=1` prints each command before it runs."""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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
    """The standard output of a command that must succeed.

    `stdin` goes to its standard input; `timeout` is in seconds. Raise UserError with the end of what it said.
    """
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
    """Whether a process of that id runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def wait_for_end(pids: Iterable[int], limit: float) -> bool:
    """Wait until none of the processes runs, for at most `limit` seconds. Return whether that is so."""
    return wait_until(lambda: not any(map(alive, pids)), limit, pause=0.05)


def with_environment(entry: bytes) -> list[int]:
    """The processes that were started with an entry (`NAME=value`) in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and alive(int(folder.name)):
            with contextlib.suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def started_at(pid: int) -> str:
    """When a process began, in the kernel's clock ticks: with its id, it names one process for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_same(pid: int, start: str) -> bool:
    """Return whether the process of that id which began at `start` (see started_at) still runs."""
    return alive(pid) and started_at(pid) == start


def unmount_below(folder: Path) -> None:
    """Unmount what a process that was killed left mounted: below a folder, or made of what is below it."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"{folder}/" in line]
    for mount in sorted((line.split()[1] for line in mounts), reverse=True):
        subprocess.run(traced(["umount", "--lazy", mount]), check=False, capture_output=True)
