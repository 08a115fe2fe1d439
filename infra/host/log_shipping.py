"""Send what the containers log to CloudWatch Logs, a stream for each container.

The host reads Docker's own logs and remembers how far it came. Docker's driver for CloudWatch is not used: while
CloudWatch is away, it keeps containers from stopping (https://github.com/moby/moby/issues/53143, docs/adr/0017).
"""

from __future__ import annotations

import calendar
import fcntl
import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

from infra.host import docker, secrets
from infra.host.aws import AwsError, LogEvent
from infra.host.blot import blot
from infra.host.host import Host
from infra.host.store import write

EVENT_BYTES = 26
"""AWS adds this to the size of each event."""
MOST_EVENTS, MOST_BYTES, LONGEST_LINE = 10_000, 1_000_000, 60_000
"""Limits of PutLogEvents, a little below AWS's own."""
MOST_SECONDS = 23 * 3600
"""The events of a call may be 24 hours apart."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
"""A time of Docker's, in the zone of the host: Amazon Linux has UTC."""
TIME_LENGTH = 30


def ship(host: Host, containers: Sequence[str] | None = None) -> None:
    """Send the new lines of some containers, or of all; while CloudWatch is away, say so and go on.

    Raises HostError if Docker does not answer.
    """
    file = host.store.root / "logs.json"
    with (host.store.root / "logs.lock").open("w") as lock:
        # The timer and a release may both want to.
        fcntl.flock(lock, fcntl.LOCK_EX)
        sent: dict[str, str] = host.store.notes("logs")
        every, values = host.containers(), secrets.in_use(host)
        for name in every if containers is None else containers:
            try:
                lines = _lines(host, name, sent.get(name, ""))
                for batch, last in batches(blotted(lines, values)):
                    host.aws.put_log_events(host.graph.log_group, name, batch)
                    sent[name] = last
            # A line that cannot be read stops the logs of its own container alone.
            except (AwsError, ValueError) as error:
                host.say(f"logs of {name} were not sent: {error}")
                if isinstance(error, AwsError) and not error.code:
                    break  # AWS is away: each further call would only wait for it
        write(file, json.dumps({name: last for name, last in sent.items() if name in every}))


def _lines(host: Host, container: str, after: str) -> list[str]:
    """Return a container's lines after a time, each with its own time in front, in order."""
    done = host.run_docker(docker.logs_between(container, after))
    # Only Docker ends a line with a line feed and begins it with a time: a program cannot write a line of another time.
    lines = [line for part in (done.stdout, done.stderr) for line in part.split("\n") if TIME.match(line)]
    # All times have the same width and zone: as text they have the order of time.
    return sorted((line for line in lines if line[:TIME_LENGTH] > after), key=lambda line: line[:TIME_LENGTH])


def blotted(lines: Iterable[str], values: Collection[str]) -> Iterator[str]:
    """Yield lines without the values of secrets, also of those that are split over lines.

    In chunks of 1 MB, to limit memory: a value that is split between two chunks stays.
    """
    part: list[str] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= MOST_BYTES:
            yield from _blotted(part, values)
            part, size = [], 0
    yield from _blotted(part, values)


def _blotted(lines: Sequence[str], values: Collection[str]) -> Iterator[str]:
    texts = blot("\n".join(line[TIME_LENGTH + 1 :] for line in lines), values).split("\n")
    return (f"{line[:TIME_LENGTH]} {text}" for line, text in zip(lines, texts))


def batches(lines: Iterable[str]) -> Iterator[tuple[Sequence[LogEvent], str]]:
    """Yield the events of one call each, with the time of the last line."""
    batch: list[LogEvent] = []
    size, last = 0, ""
    for line in lines:
        moment, _, text = line.partition(" ")
        event = LogEvent(_milliseconds(moment), text[:LONGEST_LINE] or " ")
        added = len(event.message.encode()) + EVENT_BYTES
        full = len(batch) == MOST_EVENTS or size + added > MOST_BYTES
        if batch and (full or event.milliseconds - batch[0].milliseconds > MOST_SECONDS * 1000):
            yield batch, last
            batch, size = [], 0
        batch.append(event)
        size, last = size + added, moment
    if batch:
        yield batch, last


def _milliseconds(moment: str) -> int:
    """Return a time of Docker's, such as 2026-11-28T15:04:05.123456789Z, in milliseconds since 1970."""
    seconds = calendar.timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1000 + int(moment[20:23])
