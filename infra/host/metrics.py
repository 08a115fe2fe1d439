"""Publish the host's metrics to CloudWatch each minute: the alarms of infra/lib/alarms.py look at them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from infra.host import backups, commands, data, docker, tls, untrusted
from infra.host.aws import AwsError, Datum
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.store import write

SERVER_ERROR = 500
LONGEST_GAP_SECONDS = 3600.0
"""Events that are older are not counted: CloudWatch was away for so long."""


def publish(host: Host) -> None:
    """Measure and publish; while CloudWatch is away, say so and go on.

    Events are counted since the last successful call, at most an hour back; the last errors of a replaced edge are not
    counted.
    """
    now = host.machine.now()
    last = _last(host)
    # A clock that was wrong may have left a time that is still to come.
    since = last if now - LONGEST_GAP_SECONDS <= last <= now else now - LONGEST_GAP_SECONDS
    try:
        host.aws.put_metrics(host.graph.name, list(measure(host, since, now)))
    except AwsError as error:
        host.say(f"no metrics were published: AWS {error}")
        return
    write(host.store.root / "metrics.json", json.dumps({"at": now}))


def measure(host: Host, since: float, until: float) -> Iterator[Datum]:
    """Yield the host's metrics, with the events between two times. Without Docker, it does not serve."""
    yield Datum("MemoryUsedPercent", host.machine.memory_used_percent(), "Percent")
    yield Datum("DiskUsedPercent", host.machine.disk_used_percent("/"), "Percent", {"Volume": "root"})
    if data.is_mounted(host):
        used = host.machine.disk_used_percent(str(data.FOLDER))
        yield Datum("DiskUsedPercent", used, "Percent", {"Volume": "data"})
    if any(service.dump for service in host.graph.services.values()):
        yield Datum("BackupAgeHours", backups.age_hours(host), "None")
    yield Datum("FailedReleases", sum(1 for verdict in host.store.verdicts(since, until) if verdict["cause"]))
    try:
        serving, errors, restarts = _serves(host), _server_errors(host, since, until), _restarts(host)
    except HostError as failure:
        host.say(failure.cause)
        yield Datum("Serving", 0)
        return
    yield Datum("Serving", serving)
    yield Datum("ServerErrors", errors)
    yield Datum("Restarts", restarts)
    left = tls.life_left_percent(host, host.store.current())
    if left is not None:
        yield Datum("CertificateLifeLeftPercent", left, "Percent")


def _last(host: Host) -> float:
    at = host.store.notes("metrics").get("at")
    return at if isinstance(at, float) else host.machine.now()


def _serves(host: Host) -> bool:
    current = host.store.current()
    return current is not None and commands.verify(host, current.release.text)["state"] == "serving"


def _server_errors(host: Host, since: float, until: float) -> int:
    """Count the requests that the edge answered with an error of ours: a line of JSON each, with its `status`."""
    current = host.store.current()
    if current is None or current.edge is None:
        return 0
    name = current.services[current.edge].container
    done = host.run_docker(docker.logs_between(name, f"{since:.3f}", f"{until:.3f}"))
    return sum(1 for line in done.stdout.split("\n") if _status(line) >= SERVER_ERROR)


def _status(line: str) -> int:
    status = untrusted.json_object(line.partition(" ")[2]).get("status")
    return status if isinstance(status, int) else 0


def _restarts(host: Host) -> int:
    current = host.store.current()
    states = host.states(current.containers) if current else {}
    return sum(state.restarts for state in states.values())
