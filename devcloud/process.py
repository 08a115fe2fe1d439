"""Run a command and, where it fails, say which one and what it said last."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcloud.console import Refusal


def output(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 120,
    give: str | None = None,
) -> str:
    """The standard output of a command that must succeed.

    `give` goes to its standard input; `timeout` is in seconds. Raises Refusal with the end of what it said.
    """
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            env=env,
            cwd=cwd,
            timeout=timeout,
            input=give,
            check=False,
        )
    except FileNotFoundError:
        raise Refusal(f"{arguments[0]} is not on this machine; run `make up`, which installs what it needs.") from None
    except subprocess.TimeoutExpired:
        raise Refusal(f"`{' '.join(arguments[:4])} ...` did not end within {timeout:.0f} s.") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise Refusal(f"`{' '.join(arguments[:4])} ...` failed (exit {done.returncode}): {' / '.join(said[-4:])}")
    return done.stdout


def alive(pid: int) -> bool:
    """Whether a process of that id runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def started_at(pid: int) -> str:
    """When a process began, in the kernel's clock ticks: with its id, it names one process for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
