"""Follow Pulumi's event log: report progress while it runs, and the result."""

import json
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcloud.util.console import HEARTBEAT_SECONDS, row, say, seconds
from infra.releases import timeline

IMAGE_TYPE = "docker-build:index:Image"
DOING = {
    "create": "creating",
    "update": "updating",
    "delete": "deleting",
    "replace": "replacing",
    "create-replacement": "replacing",
    "delete-replaced": "deleting the old",
    "import": "importing",
    "refresh": "reading",
}
COMPONENTS = ("pulumi:", "slipway:index:")
"""Beginnings of the types that only group other resources: they are not reported."""
SUBJECTS = {"release: ": "host", "rollback: ": "rollback"}
"""Beginnings of the lines in which the program tells what a release is doing, and the subjects of our own lines."""
GONE = ("delete", "delete-replaced")
"""Operations by which a resource leaves the state."""
QUIET = ("same", "read", "read-discard", "refresh")
"""Operations that are not reported."""
BUILD_STEP = re.compile(r"^#(?P<number>\d+) \[(?P<step>(?!internal|auth)[^\]]+)\] (?P<what>(?!FROM).+)")
BUILD_RESULT = re.compile(r"^#(?P<number>\d+) (?P<result>CACHED|DONE [\d.]+s)")
PUSHED = re.compile(
    r"^#\d+ (pushing |preparing build cache for export|sending cache export).*?(?P<seconds>[\d.]+)s done$"
)
"""A part of what goes to the registry: layers, manifest and build cache."""


@dataclass
class Build:
    """The build of one image, as BuildKit's log tells it."""

    seconds: float = 0
    push_seconds: float = 0
    """Part of `seconds`: what the image and its cache took to reach the registry."""
    cached_steps: int = 0
    run_steps: int = 0
    step: str = ""
    """The step that began last."""
    _open: set[str] = field(default_factory=set)
    """BuildKit's numbers of the steps that have not ended."""

    @property
    def how(self) -> str:
        """`cached`, or `built`, with the count of steps that ran."""
        total = self.cached_steps + self.run_steps
        return f"built ({self.run_steps} of {total} steps)" if self.run_steps else "cached"

    def read(self, line: str) -> None:
        """Take in a line of BuildKit's log."""
        if found := BUILD_STEP.match(line):
            self.step = f"{found['step']}: {found['what'][:60]}"
            self._open.add(found["number"])
        elif (found := BUILD_RESULT.match(line)) and found["number"] in self._open:
            self._open.remove(found["number"])
            self.cached_steps += found["result"] == "CACHED"
            self.run_steps += found["result"] != "CACHED"
        elif found := PUSHED.match(line):
            self.push_seconds += float(found["seconds"])


@dataclass
class Result:
    """The result of a run of Pulumi."""

    changes: dict[str, int] = field(default_factory=dict)
    """How many resources were created, updated, deleted, replaced, or stayed the same."""
    builds: dict[str, Build] = field(default_factory=dict)
    """By the image's name."""
    host: dict[str, float] = field(default_factory=dict)
    """The seconds of each phase of the release on the host; empty if none was carried out."""
    errors: list[str] = field(default_factory=list)
    program_said: list[str] = field(default_factory=list)
    """The program's standard error: a traceback, if it has a bug."""
    seconds: float = 0


class Progress:
    """Follow an event log while Pulumi writes it: print a line for each operation, and sum up."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.result = Result()
        self._begun: dict[str, tuple[float, str]] = {}
        """The time and the operation of each resource that is being changed, by URN, the oldest first."""
        self._ended = threading.Event()
        self._started = self._spoke = time.monotonic()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Progress":
        self.log.write_bytes(b"")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.result.seconds = time.monotonic() - self._started

    def _follow(self) -> None:
        rest = b""
        ended = False
        with self.log.open("rb") as log:
            while not ended:
                ended = self._ended.wait(0.1)  # looked at before the log: what Pulumi wrote last is read too
                *lines, rest = (rest + log.read()).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
                if time.monotonic() - self._spoke > HEARTBEAT_SECONDS:
                    self._say_what_takes_long()

    def _say(self, subject: str, text: str) -> None:
        self._spoke = time.monotonic()
        row(subject, text)

    def _say_what_takes_long(self) -> None:
        now = time.monotonic()
        if not self._begun:
            self._say("pulumi", f"planning ... {seconds(now - self._started)}")
        for urn, (begun, operation) in list(self._begun.items())[:3]:
            build = self._build(urn)
            step = f", {build.step}" if build and build.step else ""
            self._say(DOING.get(operation, operation), f"{_name(urn)} ... {seconds(now - begun)}{step}")

    def _take(self, event: dict[str, Any]) -> None:
        if "resourcePreEvent" in event:
            self._begin(event["resourcePreEvent"]["metadata"])
        elif "resOutputsEvent" in event:
            self._end(event["resOutputsEvent"]["metadata"])
        elif "resOpFailedEvent" in event:
            self._begun.pop(event["resOpFailedEvent"]["metadata"]["urn"], None)
        elif "diagnosticEvent" in event:
            self._diagnose(event["diagnosticEvent"])
        elif "summaryEvent" in event:
            self.result.changes = event["summaryEvent"].get("resourceChanges") or {}

    def _begin(self, metadata: dict[str, Any]) -> None:
        if _is_reported(metadata):
            urn = metadata["urn"]
            self._begun[urn] = (time.monotonic(), metadata["op"])
            if metadata["type"] == IMAGE_TYPE:
                self.result.builds[_image(urn)] = Build()

    def _end(self, metadata: dict[str, Any]) -> None:
        urn, operation = metadata["urn"], metadata["op"]
        begun, _ = self._begun.pop(urn, (time.monotonic(), operation))
        if not _is_reported(metadata):
            return
        took = time.monotonic() - begun
        if build := self._build(urn):
            build.seconds = took
            self._say("image", f"{_image(urn)}: {build.how}, {seconds(took)}")
        else:
            self._say(DOING.get(operation, operation), f"{_name(urn)} ({metadata['type']}): {seconds(took)}")

    def _diagnose(self, diagnostic: dict[str, Any]) -> None:
        message, severity = _plain(diagnostic["message"]), diagnostic["severity"]
        if build := self._build(diagnostic.get("urn", "")):
            for line in message.splitlines():
                build.read(line)
        if severity == "error":
            text = message.strip()
            if text and text not in self.result.errors:
                self.result.errors.append(text)
        elif severity == "info#err":
            self.result.program_said += message.splitlines()
        elif severity == "warning":
            say(f"  warning     {message.strip()}")
        elif severity == "info":
            for beginning, subject in SUBJECTS.items():
                if message.startswith(beginning):
                    self._tell(subject, message.removeprefix(beginning).strip())

    def _tell(self, subject: str, text: str) -> None:
        phases = timeline.read(text)
        if phases is None:
            self._say(subject, text)
        else:
            self.result.host = phases  # for the table at the end

    def _build(self, urn: str) -> Build | None:
        """Return the build that a resource is, if it is one and has begun."""
        return self.result.builds.get(_image(urn)) if f"{IMAGE_TYPE}::" in urn else None


def count_errors(log: Path) -> int:
    """Return the number of errors in the event log of a run that ended well."""
    events = map(json.loads, log.read_bytes().splitlines())
    return sum(event.get("diagnosticEvent", {}).get("severity") == "error" for event in events)


def _is_reported(metadata: dict[str, Any]) -> bool:
    if metadata["type"] == IMAGE_TYPE and metadata["op"] in GONE:
        return False  # it only leaves the state: the image stays in the registry
    return metadata["op"] not in QUIET and not metadata["type"].startswith(COMPONENTS)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _image(urn: str) -> str:
    return _name(urn).removesuffix("-image")


def _plain(message: str) -> str:
    """Return a message without Pulumi's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>", "", message)
