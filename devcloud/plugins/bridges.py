"""Dynamic bridges over a Terraform provider: started for one engine run, or kept warm between runs.

A bridge takes five seconds to start the AWS provider. Where `SLIPWAY_BRIDGE_FOLDER` names a folder, bridges outlive
the run that started them, and a later run takes one over. What makes that safe:

- a bridge is used by one run at a time: its user holds a lock on it. A run beside it gets another one;
- a bridge is configured once (the AWS provider cannot be twice), and serves only runs that would configure it the
  same way, in the same environment, with the same binaries;
- a run that ends in the middle of something (cancelled, killed) leaves a mark, and its bridge is not used again.
"""

import base64
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from devcloud.util.files import replace_text
from devcloud.util.locks import locked, try_lock
from devcloud.util.processes import end_group, is_same, started_at
from devcloud.util.waiting import wait_until

FOLDER_VARIABLE = "SLIPWAY_BRIDGE_FOLDER"
START_SECONDS = 30
"""How long a bridge may take to print its port."""
STOP_SECONDS = 1.5
"""How long a bridge may take to end its provider and itself."""
SLOTS = 4
"""Bridges kept warm in one folder, at some 500 MB of memory each; further ones end with their run."""
BRIDGE_ENV_PREFIXES = (
    *("AWS_", "TF_", "SSL_CERT_", "HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""Beginnings of the environment variables that a provider reads when it is configured."""


@dataclass
class Record:
    """What is known of a running bridge. `port` is on 127.0.0.1."""

    pid: int
    started: str
    """See processes.started_at."""
    port: int
    key: str
    """Of its environment and binaries."""
    idle: bool = False
    """Whether its last user let go of it in good order."""
    settings: str = ""
    """Of the settings that it was configured with; empty before."""
    answers: dict[str, str] = field(default_factory=dict)
    """What it said to questions that it need not be asked again, in base64."""

    def lives(self) -> bool:
        return is_same(self.pid, self.started)

    def end(self) -> None:
        """End the bridge and the provider that it runs."""
        if self.lives():
            end_group(self.pid, signal.SIGINT, STOP_SECONDS)


def key(environment: Mapping[str, str], *binaries: Path) -> str:
    """What two runs must have in common to share a bridge. A hash, since credentials are part of it."""
    seen = {name: value for name, value in environment.items() if name.startswith(BRIDGE_ENV_PREFIXES)}
    files = [(str(binary), binary.stat().st_size, binary.stat().st_mtime_ns) for binary in binaries]
    return hashlib.sha256(json.dumps([seen, files], sort_keys=True).encode()).hexdigest()


class Bridge:
    """A running bridge that this process alone uses. `fresh` says that nobody has used it yet."""

    def __init__(self, record: Record, slot: "_Slot | None", *, fresh: bool) -> None:
        self.port = record.port
        self.fresh = fresh
        self._record = record
        self._slot = slot

    @property
    def settings(self) -> str:
        """A hash of the settings that it is configured with; empty where it is not configured."""
        return self._record.settings

    def configured(self, settings: str) -> None:
        """Note what it has been configured with."""
        self._record.settings = settings

    def recall(self, question: str) -> bytes | None:
        """The answer to a question that this bridge has been asked before, be it by an earlier run."""
        answer = self._record.answers.get(question)
        return base64.b64decode(answer) if answer is not None else None

    def remember(self, question: str, answer: bytes) -> None:
        self._record.answers[question] = base64.b64encode(answer).decode()

    def release(self, *, in_good_order: bool) -> None:
        """Let go: leave the bridge warm for the next run where that is wanted and safe, else end it."""
        if self._slot is not None and in_good_order:
            self._record.idle = True
            self._slot.write(self._record)
        else:
            self._record.end()
        if self._slot is not None:
            self._slot.unlock()


def take(binary: Path, run_key: str, settings: str, folder: Path | None, engine: str) -> Bridge:
    """A bridge for this run: an idle one of the same key and settings out of `folder`, else a new one.

    While the settings are not known yet (empty), those of the bridge do not matter. Without a folder, or with all its
    slots in use, the bridge is this run's own. `engine` is the address of the engine that the run belongs to. Raises
    RuntimeError where no bridge starts.
    """
    # A bridge that knows an engine ends itself some minutes after that engine: even if we are killed before we can.
    own = [str(binary), engine] if engine else [str(binary)]
    if folder is None:
        return Bridge(_start(own, run_key, None), None, fresh=True)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "choosing.lock"):
        slot, warm = _choose(folder, run_key, settings)
        if slot is None:
            return Bridge(_start(own, run_key, None), None, fresh=True)
        if warm is not None:
            warm.idle = False
            slot.write(warm)
            return Bridge(warm, slot, fresh=False)
    return Bridge(_start([str(binary)], run_key, slot), slot, fresh=True)


def stop_bridges(folder: Path) -> int:
    """End every warm bridge of a folder, in use or not; how many there were."""
    ended = 0
    for number in range(SLOTS):
        slot = _Slot(folder, number)
        record = slot.read()
        if record is not None and record.lives():
            record.end()
            ended += 1
        slot.forget()
    return ended


def end_abandoned(folder: Path) -> int:
    """End the warm bridges whose run was killed in the middle of something; how many there were.

    They might still be creating what that run had asked for.
    """
    ended = 0
    for number in range(SLOTS if folder.exists() else 0):
        slot = _Slot(folder, number)
        if not slot.lock():
            continue  # a living run's
        record = slot.read()
        if record is not None and not record.idle:
            ended += record.lives()
            record.end()
            slot.forget()
        slot.unlock()
    return ended


class _Slot:
    """A place in the folder for one warm bridge: its record, its log, and a lock that its user holds."""

    def __init__(self, folder: Path, number: int) -> None:
        self.log = folder / f"{number}.log"
        self._file = folder / f"{number}.json"
        self._lock_file = folder / f"{number}.lock"
        self._lock: IO[str] | None = None

    def lock(self) -> bool:
        handle = self._lock_file.open("w")
        if not try_lock(handle):
            handle.close()
            return False
        self._lock = handle
        return True

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self) -> Record | None:
        try:
            stored = json.loads(self._file.read_text())
            # What an older or newer devcloud wrote must still be found, or its bridge would run for ever.
            return Record(**{name: stored[name] for name in Record.__dataclass_fields__ if name in stored})
        except (FileNotFoundError, ValueError, TypeError):
            return None  # none yet, or one that a crash cut short

    def write(self, record: Record) -> None:
        replace_text(self._file, json.dumps(asdict(record)), 0o600)  # answers may hold credentials

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def _choose(folder: Path, run_key: str, settings: str) -> tuple[_Slot | None, Record | None]:
    """A locked slot, with its bridge where that one will do. First a fit bridge, then a free place, then the place
    of a bridge that nobody uses now."""
    slots = [slot for number in range(SLOTS) if (slot := _Slot(folder, number)).lock()]
    records = [slot.read() for slot in slots]
    chosen: tuple[_Slot | None, Record | None] = (None, None)
    for slot, record in zip(slots, records, strict=True):
        if record is None or record.key != run_key or not record.idle:
            continue
        if (not settings or record.settings in ("", settings)) and record.lives():
            chosen = (slot, record)
            break
    else:
        order = sorted(zip(slots, records, strict=True), key=lambda pair: pair[1] is not None and pair[1].idle)
        if order:
            slot, record = order[0]
            if record is not None:
                record.end()  # of another key, or left by a run that did not end well
            slot.forget()
            chosen = (slot, None)
    for slot in slots:
        if slot is not chosen[0]:
            slot.unlock()
    return chosen


def _start(command: Sequence[str], run_key: str, slot: _Slot | None) -> Record:
    """Start a bridge in a process group of its own, with the provider that it will start."""
    output = slot.log.open("w+") if slot else open(os.memfd_create("bridge"), "w+")  # noqa: SIM115, PTH123
    with output:
        # Output goes to a file: a pipe would break under a bridge that outlives us.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        record = Record(process.pid, started_at(process.pid), 0, run_key)
        if slot:
            slot.write(record)  # at once: if we are killed now, it is still found and ended

        def printed_its_port() -> bool:
            output.seek(0)
            first, line_end, _ = output.read().partition("\n")
            if line_end and first.strip().isdigit():
                record.port = int(first)
            return record.port > 0

        wait_until(lambda: printed_its_port() or process.poll() is not None, START_SECONDS, pause=0.02)
        if record.port:
            return record
        output.seek(0)
        said = output.read().strip()[-500:] or "nothing"
    record.end()
    raise RuntimeError(f"the bridge {command[0]} did not start within {START_SECONDS} s; it said: {said}")
