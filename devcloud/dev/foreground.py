"""Processes in the foreground, as one: each line of theirs under its own name, and Ctrl-C ends them all, last first."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from devcloud.util.processes import end_group, started_at, traced
from infra.lib.messages import printable

COLOURS = (36, 33, 35, 32, 34, 31)
"""Of names, in ANSI's numbers: cyan, yellow, magenta, green, blue, red."""
STOP_SECONDS = 10


@dataclass(frozen=True)
class Process:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    log: Path | None = None
    """Where its output goes instead of the terminal: for what is looked at only when it fails."""
    stop_signal: signal.Signals = signal.SIGTERM


class Group:
    """The processes, each in a session of its own, on record in a file, so that what a killed run left can be ended."""

    def __init__(self, record: Path, out: TextIO = sys.stdout) -> None:
        self._record = record
        self._out = out
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._running: list[tuple[Process, subprocess.Popen[str], threading.Thread | None]] = []

    def start(self, process: Process) -> None:
        number = len(self._running)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(process.log.open("w")) if process.log else None
            child = subprocess.Popen(
                traced(process.command),
                env=dict(process.environment),
                cwd=process.folder,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C reaches this program alone, which ends them in order
            )
        reader = None
        if child.stdout:
            reader = threading.Thread(target=self._follow, args=(process.name, number, child.stdout), daemon=True)
            reader.start()
        self._running.append((process, child, reader))
        self._write_record()

    def dead(self) -> tuple[str, int] | None:
        """A process that has ended by itself, and its exit status; None where all run."""
        for process, child, _ in self._running:
            status = child.poll()
            if status is not None:
                return process.name, status
        return None

    def stop(self) -> None:
        """End every process, the last started first; those that take too long are killed."""
        while self._running:
            process, child, reader = self._running.pop()
            end_group(child.pid, process.stop_signal, STOP_SECONDS)
            child.wait()
            if reader:
                reader.join(timeout=1)
        self._record.unlink(missing_ok=True)

    def say(self, name: str, number: int, text: str) -> None:
        prefix = f"{name:<9} |"
        if self._coloured:
            prefix = f"\033[{COLOURS[number % len(COLOURS)]}m{prefix}\033[0m"
        with self._lock:
            print(f"{prefix} {printable(readable(text))}", file=self._out, flush=True)

    def _follow(self, name: str, number: int, lines: TextIO) -> None:
        for line in lines:
            self.say(name, number, line.rstrip("\n"))

    def _write_record(self) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps([[child.pid, started_at(child.pid)] for _, child, _ in self._running]))


def clear_dead(record: Path) -> int:
    """End what a run that was killed left running; how many processes that were."""
    if not record.exists():
        return 0
    try:
        left: list[list[Any]] = json.loads(record.read_text())
    except ValueError:  # killed while it was written
        left = []
    # An id may have been given anew since: only with the time of its start does it name one process.
    ours = [pid for pid, started in left if started and started_at(pid) == started]
    for pid in reversed(ours):
        end_group(pid, signal.SIGTERM, STOP_SECONDS)
    record.unlink(missing_ok=True)
    return len(ours)


def interrupt_on_signals() -> None:
    """Have SIGTERM, SIGHUP and SIGINT end this program as Ctrl-C does, whatever it was started by."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def readable(line: str) -> str:
    """A line of a structured log as a person reads it: time, level, message, and what else it holds."""
    try:
        found = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return line
    if not isinstance(found, dict) or not {"time", "level", "message"} <= found.keys():
        return line
    rest = dict(found)
    clock = str(rest.pop("time"))[11:19]
    level, message = rest.pop("level"), rest.pop("message")
    exception = rest.pop("exception", "")
    rest.pop("logger", None)
    more = "".join(f" {key}={value}" for key, value in rest.items())
    head = f"{clock} {level:<7} {message}{more}"
    return f"{head}\n{exception}" if exception else head
