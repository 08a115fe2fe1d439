"""Progress of the toolchain's steps, commands that can be ended, and versions of programs."""

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from devcloud.util.console import heartbeat, line
from devcloud.util.locks import held
from devcloud.util.processes import traced

Report = Callable[[str], None]


class Work:
    """The commands under way, which end together."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._locks = held()
        """The locks under which the work is done; its steps may run in other threads."""

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def say(self, part: str, text: str) -> None:
        self._report(line(part, text))

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Callable[[], str]]:
        """Report a step that takes long every HEARTBEAT_SECONDS. Yield a function that returns the elapsed time."""
        with heartbeat(lambda elapsed: self._report(f"{doing} ... {elapsed}")) as elapsed:
            yield elapsed

    def run(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is. It is ended early where another step fails."""
        child = subprocess.Popen(
            traced(command),
            env=env,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # If we are killed, this goes on; the next run then waits for it, and does not work beside it.
            pass_fds={*self._locks, *held()},
        )
        with self._lock:
            self._children.add(child)
            stopped = self._stopped
        if stopped:
            child.terminate()
        try:
            said, _ = child.communicate()
        finally:
            with self._lock:
                self._children.discard(child)
        return subprocess.CompletedProcess(command, child.returncode, said)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            children = list(self._children)
        for child in children:
            child.terminate()


def executable(name: str, *, outside: Path) -> Path | None:
    """A program of the machine: on PATH or where an administrator's are, but none of (or that leads to) `outside`."""
    ours = outside.resolve()
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    for folder in folders:
        found = shutil.which(name, path=folder) if folder else None
        if found and not any(path.is_relative_to(ours) for path in (Path(found).absolute(), Path(found).resolve())):
            return Path(found).absolute()
    return None


def version_of(command: Sequence[str | Path]) -> tuple[int, ...] | None:
    """The first version number, as in 1.2.3, that a command prints; None where it prints none or fails."""
    try:
        done = subprocess.run(
            traced([str(word) for word in command]), capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in(done.stdout) if done.returncode == 0 else None


def version_in(text: str) -> tuple[int, ...] | None:
    """Return the first version number in a text, as in `v3.260.0-alpha.1` or `go1.26.8`."""
    found = re.search(r"\b(?:v|go)?(\d+(?:\.\d+)+)", text)
    return tuple(map(int, found[1].split("."))) if found else None


def compatible(found: tuple[int, ...] | None, wanted: str) -> bool:
    """Whether a version is the wanted one or a later one of the same major version."""
    least = version_in(wanted)
    return found is not None and least is not None and found >= least and found[0] == least[0]
