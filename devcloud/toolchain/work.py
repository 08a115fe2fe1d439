"""What `ensure` does its work with: progress that a person sees, commands that can be ended, folders made whole."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from devcloud.console import HEARTBEAT_SECONDS, Refusal, seconds

Report = Callable[[str], None]

_HELD: set[int] = set()
"""The locks that this process holds, by file descriptor."""


class Work:
    """The steps under way. Every HEARTBEAT_SECONDS each step that still runs says so."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._steps: dict[str, float] = {}
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._done = threading.Event()

    def __enter__(self) -> "Work":
        threading.Thread(target=self._heartbeat, daemon=True, name="toolchain-heartbeat").start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self.stop()

    def say(self, part: str, text: str) -> None:
        """Print a line about a part."""
        self._report(line(part, text))

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Callable[[], str]]:
        """A step that may take long. Gives a function that tells how long it has taken."""
        started = time.monotonic()
        with self._lock:
            self._steps[doing] = started
        try:
            yield lambda: seconds(time.monotonic() - started)
        finally:
            with self._lock:
                del self._steps[doing]

    def run(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is. It is ended early where another step fails."""
        child = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # If we are killed, this goes on; the next run then waits for it, and does not work beside it.
            pass_fds=tuple(_HELD),
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
        """End the commands that run."""
        with self._lock:
            self._stopped = True
            children = list(self._children)
        for child in children:
            child.terminate()

    def _heartbeat(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            with self._lock:
                steps = dict(self._steps)
            now = time.monotonic()
            for doing, started in steps.items():
                self._report(f"{doing} ... {seconds(now - started)}")


def line(part: str, text: str) -> str:
    """A line about a part, aligned with its neighbours."""
    return f"{part:<20} {text}"


def ending(said: str, lines: int = 4) -> str:
    """The end of what a command said, as one line."""
    return " / ".join([text.strip() for text in said.splitlines() if text.strip()][-lines:]) or "it said nothing"


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock among processes. `waiting` is called now and again while another one holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        next_word = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= next_word:
                    waiting()
                    next_word = time.monotonic() + HEARTBEAT_SECONDS
                time.sleep(0.2)
        _HELD.add(handle.fileno())
        try:
            yield
        finally:
            _HELD.discard(handle.fileno())


@contextlib.contextmanager
def only_one(file: Path, command: str) -> Iterator[None]:
    """Hold a lock as long as a command runs. Raises Refusal where another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"`{command}` runs on this machine already: end that one by Ctrl-C first.") from None
        yield


@contextlib.contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when all has gone well, and is gone otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a run that was interrupted: we hold the lock
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    draft.chmod(0o755)
    try:
        yield draft
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in(done.stdout) if done.returncode == 0 else None


def version_in(text: str) -> tuple[int, ...] | None:
    """The first version number in a text."""
    for word in text.replace("go1", "1").replace(",", " ").split():
        numbers = word.lstrip("v").split("-")[0].split("+")[0].split(".")
        if len(numbers) > 1 and all(number.isdigit() for number in numbers):
            return tuple(int(number) for number in numbers)
    return None


def compatible(found: tuple[int, ...] | None, wanted: str) -> bool:
    """Whether a version is the wanted one or a later one of the same major version."""
    least = version_in(wanted)
    return found is not None and least is not None and found >= least and found[0] == least[0]


__all__ = [
    "Refusal",
    "Report",
    "Work",
    "compatible",
    "ending",
    "executable",
    "line",
    "locked",
    "made_whole",
    "version_in",
    "version_of",
]
