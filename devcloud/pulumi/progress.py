"""Follow Pulumi's event log: report progress while it runs, and the result."""

import json
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcloud.util.console import HEARTBEAT_SECONDS, row, say, seconds

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
"""Types of component resources, providers and the stack, which are not reported."""
QUIET = ("same", "read", "read-discard", "refresh")
BUILD_STEP = re.compile(r"^#\d+ \[(?P<step>[^\]]+)\] (?P<what>.+)")
BUILD_RESULT = re.compile(r"^#(?P<number>\d+) (?P<result>CACHED|DONE [\d.]+s)")


@dataclass
class Build:
    """The build of one image."""

    seconds: float = 0
    cached_steps: int = 0
    run_steps: int = 0

    @property
    def how(self) -> str:
        """`cached`, or `built`, with the count of steps that ran."""
        total = self.cached_steps + self.run_steps
        return f"built ({self.run_steps} of {total} steps)" if self.run_steps else "cached"


@dataclass
class Result:
    """The result of a run of Pulumi."""

    changes: dict[str, int] = field(default_factory=dict)
    """How many resources were created, updated, deleted, replaced, or stayed the same."""
    touched: dict[str, str] = field(default_factory=dict)
    """The operation on each resource that was not left alone, by the resource's name."""
    builds: dict[str, Build] = field(default_factory=dict)
    """By the image's name."""
    errors: list[str] = field(default_factory=list)
    program_said: list[str] = field(default_factory=list)
    """Lines that the program printed on its standard error."""
    seconds: float = 0

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return any(count for operation, count in self.changes.items() if operation != "same")


class Progress:
    """Follows an event log while the engine writes it, prints a line for each thing done, and sums up."""

    def __init__(self, log: Path, *, quiet: bool = False) -> None:
        self.log = log
        self.quiet = quiet
        self.result = Result()
        self._begun: dict[str, tuple[float, str, str]] = {}
        self._building: dict[str, str] = {}
        self._steps: dict[tuple[str, str], str] = {}
        self._done = threading.Event()
        self._spoke = time.monotonic()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Progress":
        self.log.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.result.seconds = time.monotonic() - self._started

    def _follow(self) -> None:
        rest = ""
        position = 0
        while True:
            last_look = self._done.is_set()
            if self.log.exists():
                with self.log.open(errors="replace") as log:
                    log.seek(position)
                    rest += log.read()
                    position = log.tell()
                *lines, rest = rest.split("\n")
                for line in lines:
                    if line:
                        self._take(json.loads(line))
            if last_look:
                return
            if time.monotonic() - self._spoke > HEARTBEAT_SECONDS:
                self._tell_what_takes_long()
            self._done.wait(0.1)

    def _say(self, subject: str, text: str) -> None:
        self._spoke = time.monotonic()
        if not self.quiet:
            row(subject, text)

    def _tell_what_takes_long(self) -> None:
        now = time.monotonic()
        if not self._begun:
            self._say("pulumi", f"planning ... {seconds(now - self._started)}")
        for urn, (begun, operation, _) in sorted(self._begun.items(), key=lambda item: item[1][0])[:3]:
            step = f", {self._building[urn]}" if urn in self._building else ""
            self._say(DOING.get(operation, operation), f"{_name(urn)} ... {seconds(now - begun)}{step}")

    def _take(self, event: dict[str, Any]) -> None:
        if "resourcePreEvent" in event:
            self._begin(event["resourcePreEvent"]["metadata"])
        elif "resOutputsEvent" in event:
            self._end(event["resOutputsEvent"]["metadata"])
        elif "resOpFailedEvent" in event:
            self._begun.pop(event["resOpFailedEvent"]["metadata"]["urn"], None)
        elif "diagnosticEvent" in event:
            self._hear(event["diagnosticEvent"])
        elif "summaryEvent" in event:
            self.result.changes = event["summaryEvent"].get("resourceChanges") or {}

    def _begin(self, metadata: dict[str, Any]) -> None:
        urn, operation = metadata["urn"], metadata["op"]
        if operation not in QUIET and not metadata["type"].startswith(COMPONENTS):
            self._begun[urn] = (time.monotonic(), operation, metadata["type"])
            if metadata["type"] == IMAGE_TYPE:
                self.result.builds[_image(urn)] = Build()

    def _end(self, metadata: dict[str, Any]) -> None:
        urn, operation = metadata["urn"], metadata["op"]
        begun, _, kind = self._begun.pop(urn, (time.monotonic(), operation, metadata["type"]))
        if operation in QUIET or kind.startswith(COMPONENTS):
            return
        took = time.monotonic() - begun
        self.result.touched[_name(urn)] = operation
        if kind == IMAGE_TYPE:
            build = self.result.builds.setdefault(_image(urn), Build())
            build.seconds = took
            self._say("image", f"{_image(urn)}: {build.how}, {seconds(took)}")
        else:
            self._say(DOING.get(operation, operation), f"{_name(urn)} ({kind}): {seconds(took)}")

    def _hear(self, diagnostic: dict[str, Any]) -> None:
        urn, message = diagnostic.get("urn", ""), _plain(diagnostic["message"])
        if f"${IMAGE_TYPE}" in urn or f"::{IMAGE_TYPE}" in urn:
            for line in message.splitlines():
                self._hear_builder(urn, line)
        if diagnostic["severity"] == "error":
            text = message.strip()
            if text and text not in self.result.errors:
                self.result.errors.append(text)
        elif diagnostic["severity"] == "info#err":
            self.result.program_said += message.splitlines()
        elif diagnostic["severity"] == "warning" and not self.quiet:
            say(f"  warning     {message.strip()}")

    def _hear_builder(self, urn: str, line: str) -> None:
        number = line.split(" ", 1)[0]
        if found := BUILD_STEP.match(line):
            if not found["step"].startswith(("internal", "auth")) and not found["what"].startswith("FROM"):
                self._building[urn] = f"{found['step']}: {found['what'][:60]}"
                self._steps[(urn, number)] = found["step"]
        elif found := BUILD_RESULT.match(line):
            build = self.result.builds.get(_image(urn))
            if build and self._steps.pop((urn, number), None):
                if found["result"] == "CACHED":
                    build.cached_steps += 1
                else:
                    build.run_steps += 1


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _image(urn: str) -> str:
    return _name(urn).removesuffix("-image")


def _plain(message: str) -> str:
    """Without the engine's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>", "", message)
