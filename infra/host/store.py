"""The host's files: the current generation, releases, journals, and the folder in memory for secrets."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.host.generation import Generation
from infra.host.journal import Journal
from infra.host.release import Release
from infra.host.untrusted import json_object

KEPT_RELEASES = 3
YOUNG_SECONDS = 3600
"""Age below which a packed program stays: a command that has just brought it may still read it."""


@dataclass(frozen=True)
class Store:
    """The folders of the host's program."""

    root: Path = Path("/var/lib/slipway")
    memory: Path = Path("/run/slipway")
    """On a tmpfs: what is in here never reaches the disk."""
    units: Path = Path("/etc/systemd/system")
    now: Callable[[], float] = time.time

    def prepare(self) -> None:
        """Create the folders, for root alone."""
        for folder in (
            self.root,
            self.root / "releases",
            self.root / "journal",
            self.root / "programs",
            self.memory,
            self.units,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def program(self) -> Path:
        """The link to the program of the current generation, which the units start."""
        return self.root / "program.pyz"

    def current(self) -> Generation | None:
        """Return the generation that serves; None before the first release."""
        try:
            return Generation.of_json(json.loads((self.root / "current.json").read_text("utf-8")))
        except FileNotFoundError:
            return None

    def set_current(self, generation: Generation) -> None:
        """Make a generation the one that serves, and its program the one in charge."""
        text = json.dumps(generation.to_json(), indent=1)
        write(self.root / "releases" / f"{generation.release.id}.json", text)
        write(self.root / "current.json", text)
        self.link_program(generation.program)

    def link_program(self, program: str) -> None:
        """Point the link for the units to a program."""
        new = self.root / ".program.new"
        new.unlink(missing_ok=True)
        new.symlink_to(program)
        new.replace(self.program)

    def kept(self) -> list[Generation]:
        """Return the releases that served last, the newest first; forget the older ones."""
        files = (self.root / "releases").glob("*.json")
        found = [(file, Generation.of_json(json.loads(file.read_text("utf-8")))) for file in files]
        found.sort(key=lambda pair: pair[1].since, reverse=True)
        for file, _ in found[KEPT_RELEASES:]:
            file.unlink()
        return [generation for _, generation in found[:KEPT_RELEASES]]

    def remove_programs(self, kept: Collection[str]) -> None:
        """Remove the packed programs that no kept release uses, but for those that a command has just brought."""
        for program in (self.root / "programs").glob("*.pyz"):
            if str(program) not in kept and time.time() - program.stat().st_mtime > YOUNG_SECONDS:
                program.unlink()

    def journal_file(self, release: str) -> Path:
        """Return the path of a release's journal."""
        return self.root / "journal" / f"{release}.jsonl"

    def journal(self, release: str) -> Journal | None:
        """Return the journal of a release; None if the release was never submitted."""
        try:
            return Journal.read(self.journal_file(release), self.now)
        except FileNotFoundError:
            return None

    def notes(self, name: str) -> dict[str, Any]:
        """Return what a job of the program noted in a file; nothing if there is none, or none that can be read."""
        try:
            return json_object((self.root / f"{name}.json").read_text("utf-8", errors="replace"))
        except FileNotFoundError:
            return {}

    def verdicts(self, since: float, until: float) -> list[Mapping[str, Any]]:
        """Return the verdicts of releases from a time on, before another."""
        files = [file for file in (self.root / "journal").glob("*.jsonl") if file.stat().st_mtime >= since]
        entries = [Journal.read(file, self.now).last("verdict") for file in files]
        return [entry["verdict"] for entry in entries if entry and since <= entry["at"] < until]

    def open_release(self) -> str | None:
        """Return the id of the release that is under way."""
        try:
            return (self.root / "open").read_text("utf-8")
        except FileNotFoundError:
            return None

    def open_program(self) -> str | None:
        """Return the path of the program that accepted the release under way, and knows its graph."""
        open_release = self.open_release()
        journal = self.journal(open_release) if open_release else None
        return str(journal.entries[0]["program"]) if journal else None

    def open(self, release: Release, program: str) -> bool:
        """Begin the journal of a release; return False if another release is under way."""
        file = self.journal_file(release.id)
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        Journal(new, self.now).add("begin", release=release.text, program=program)
        pointer = self.root / ".open.new"
        pointer.write_text(release.id, "utf-8")
        try:
            # A hard link fails if the name is taken, unlike a rename: of two that submit, one is refused.
            os.link(pointer, self.root / "open")
        except FileExistsError:
            new.unlink()
            return False
        new.replace(file)
        return True

    def close(self) -> None:
        """Let the next release begin."""
        (self.root / "open").unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of all that changes containers; yield False if it is taken and `wait` is False."""
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file, whole or not at all, also if the power fails."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        # Not the mode of `open` alone: that one depends on the umask.
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
