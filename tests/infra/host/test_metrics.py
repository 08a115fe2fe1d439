"""The metrics that the host publishes each minute, and the logs that it sends."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from infra.host import backups, boot, log_shipping, metrics
from infra.host.aws import AwsError, Client, Datum, LogEvent
from infra.host.outcome import HostError
from tests.infra.host.fake import SECRET, Behaviour, docker_time, image, make, release_text
from tests.infra.host.test_deploy import deployed

OTHERS = ("not json", "[500]", '{"status": "5"}', '{"status":' * 50_000, '{"status":' + "5" * 10_000, "5" * 1_000_000)
"""Lines that are no requests, some of which Python cannot read."""


def test_a_host_that_serves_publishes_its_figures(tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)
    deployed(host, release_text(1))
    boot.tend(host)
    assert aws.published == [
        {
            "MemoryUsedPercent": 55.0,
            "DiskUsedPercent.root": 40.0,
            "FailedReleases": 0,
            "Serving": 1,
            "ServerErrors": 0,
            "Restarts": 0,
        }
    ]
    assert "metrics of slipway-local" in aws.asked


def test_a_host_that_does_not_serve_says_so(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    machine.behaviours[image("api", 1)] = Behaviour(ends_after=0)
    for one in machine.containers.values():
        one.stopped = 1
    metrics.publish(host)
    assert aws.published[-1]["Serving"] == 0


def test_a_host_without_docker_still_publishes(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    machine.docker_away_until = machine.time + 1000
    metrics.publish(host)
    assert aws.published[-1]["Serving"] == 0
    assert "ServerErrors" not in aws.published[-1]


def test_errors_and_failed_releases_are_counted_once_and_over_a_gap(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    metrics.publish(host)
    current = host.store.current()
    assert current is not None
    edge = current.services["web"].container

    def log(*statuses: int) -> None:
        lines = [f"{docker_time(machine.time)} {json.dumps({'status': status})}" for status in statuses]
        machine.logged.setdefault(edge, []).extend(lines)

    log(200, 500, 404, 502)
    machine.logged[edge] += [f"{docker_time(machine.time)} {text}" for text in OTHERS]
    aws.away = True
    machine.time += 60
    boot.tend(host)
    machine.behaviours[image("api", 2)] = Behaviour(ends_after=0.1)
    aws.away = False
    deployed(host, release_text(2))
    log(503)
    machine.time += 1
    metrics.publish(host)
    assert (aws.published[-1]["ServerErrors"], aws.published[-1]["FailedReleases"]) == (3, 1)
    machine.time += 60
    metrics.publish(host)
    assert (aws.published[-1]["ServerErrors"], aws.published[-1]["FailedReleases"]) == (0, 0)


def test_a_clock_that_was_ahead_hides_no_failed_release(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    machine.time += 7200
    metrics.publish(host)
    machine.time -= 7000
    machine.behaviours[image("api", 2)] = Behaviour(ends_after=0.1)
    deployed(host, release_text(2))
    machine.time += 1
    metrics.publish(host)
    assert aws.published[-1]["FailedReleases"] == 1


@pytest.mark.parametrize("noted", ["", "[1]", "{}", '{"at": "now"}', "[" * 10_000, "\0"])
def test_notes_that_cannot_be_read_stop_no_job(noted: str, tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)
    deployed(host, release_text(1))
    for name in ("metrics", "logs", "backup"):
        (host.store.root / f"{name}.json").write_text(noted)
    boot.tend(host)
    assert aws.published[-1]["Serving"] == 1
    assert backups.backups(host, "{}")["last"] in (None, {"at": "now"})


def test_restarts_are_those_of_what_serves(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    for one in machine.containers.values():
        one.restarts = 2
    metrics.publish(host)
    assert aws.published[-1]["Restarts"] == 2 * len(machine.containers)


def test_lines_are_sent_once_a_stream_for_each_container(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    current = host.store.current()
    assert current is not None
    api = current.services["api"].container
    log_shipping.ship(host)
    assert aws.logs[api] == ["the end of the log"]
    assert set(aws.logs) >= set(current.containers)
    machine.logged[api] = [f"{docker_time(machine.time + number)} line {number}" for number in range(3)]
    log_shipping.ship(host)
    log_shipping.ship(host)
    assert aws.logs[api] == ["the end of the log", "line 0", "line 1", "line 2"]


def test_lines_wait_on_the_host_while_cloudwatch_is_away(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    log_shipping.ship(host)
    current = host.store.current()
    assert current is not None
    api = current.services["api"].container
    machine.logged[api] = [f"{docker_time(machine.time + 1)} during"]
    aws.away = True
    boot.tend(host)
    assert "during" not in aws.logs[api]
    aws.away = False
    boot.tend(host)
    assert aws.logs[api][-1] == "during"


def test_what_is_removed_was_read_before(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    machine.behaviours[image("api", 1)] = Behaviour(ends_after=0.1, log="why it died")
    deployed(host, release_text(1))
    assert machine.containers == {}
    messages = [message for stream in aws.logs.values() for message in stream]
    assert "why it died" in messages
    assert any("-migrate" in stream for stream in aws.logs), "what runs once is removed too"


def test_a_release_goes_through_while_cloudwatch_is_away(tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)

    def refuse(group: str, stream: str, events: object) -> None:
        raise AwsError("did not answer (timed out)")

    aws.put_log_events = refuse  # type: ignore[method-assign]
    assert deployed(host, release_text(1))["cause"] == ""
    assert deployed(host, release_text(2))["cause"] == ""


def test_a_carriage_return_in_a_line_makes_no_line_of_its_own(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    current = host.store.current()
    assert current is not None
    api = current.services["api"].container
    # A program that knows the form of Docker's lines, and would hide all that it logs until 2999.
    posed = "\r2999-01-01T00:00:00.000000000Z posed\x85\u2028\x0b\x1c."
    machine.logged[api] = [f"{docker_time(machine.time)} 10 %{posed}", f"{docker_time(machine.time + 1)} later"]
    log_shipping.ship(host, [api])
    assert aws.logs[api][-2:] == [f"10 %{posed}", "later"]


def test_secrets_are_blotted_in_the_logs_that_are_sent(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    current = host.store.current()
    assert current is not None
    names = [current.services[name].container for name in ("api", "web")]
    long = "x" * (log_shipping.LONGEST_LINE - 10)
    texts = [f"cannot use {SECRET}", "password HUSH-hush", "hush-", "hush", f"{long}hush-hush", "\r hush-hush", "fine"]
    for name in names:
        machine.logged[name] = [f"{docker_time(machine.time + at)} {text}" for at, text in enumerate(texts)]
    log_shipping.ship(host, names)
    for name in names:
        sent = aws.logs[name][-len(texts) :]
        assert sent == ["cannot use ***", "password ***", "***", " ", f"{long}***", "\r ***", "fine"]


def test_a_whole_log_of_the_host_is_blotted_in_seconds() -> None:
    """A job of the minute has less than one, and 12 MB is all that Docker keeps of a container."""
    line = f"{docker_time(1000)} " + json.dumps({"request": {"uri": "/api/labs/"}, "status": 200, "text": "x" * 120})
    lines = [line] * (12_000_000 // len(line))
    values = [f"postgresql://slipway:{number}-p%40ss-word@10.20.0.10:5432/slipway" for number in range(8)]
    begun = time.process_time()
    assert list(log_shipping.blotted(lines, values)) == lines
    assert time.process_time() - begun < 10


def test_a_batch_keeps_to_the_limits_of_cloudwatch() -> None:
    many = [f"{docker_time(1000 + number / 1000)} x" for number in range(10_001)]
    assert [len(batch) for batch, _ in log_shipping.batches(many)] == [10_000, 1]
    large = [f"{docker_time(1000)} {'ü' * 100_000}"] * 12
    sizes = [sum(len(one.message.encode()) + 26 for one in batch) for batch, _ in log_shipping.batches(large)]
    assert max(sizes) <= 1_048_576
    assert sum(len(batch) for batch, _ in log_shipping.batches(large)) == 12
    apart = [f"{docker_time(1000)} a", f"{docker_time(1000 + 24 * 3600)} b"]
    assert [last for _, last in log_shipping.batches(apart)] == [line.split()[0] for line in apart]
    assert list(log_shipping.batches([])) == []
    ((batch, _),) = log_shipping.batches([f"{docker_time(1.25)} "])
    assert batch == [LogEvent(1250, " ")], "CloudWatch takes no empty message"


class Calls(Client):
    """A client that notes its requests; streams are missing until they are made."""

    made: list[str]
    bodies: list[str]
    stream: bool

    def _post(self, service: str, headers: object, body: bytes, host: str | None = None) -> str:
        assert isinstance(headers, dict)
        self.made.append(f"{service} {headers.get('X-Amz-Target', '').rpartition('.')[2]}".strip())
        self.bodies.append(body.decode())
        if self.made[-1] == "logs CreateLogStream":
            object.__setattr__(self, "stream", True)
        elif service == "logs" and not self.stream:
            raise AwsError("refused", "ResourceNotFoundException")
        return ""


@pytest.fixture
def calls() -> Calls:
    client = Calls("us-east-1")
    for name, value in (("made", []), ("bodies", []), ("stream", False)):
        object.__setattr__(client, name, value)
    return client


def test_metrics_are_one_call(calls: Calls) -> None:
    calls.put_metrics("slipway-dev", [Datum("A", 1), Datum("B", 2.5, "Percent", {"Volume": "root"})])
    assert calls.made == ["monitoring"]
    assert calls.bodies[0] == (
        "Action=PutMetricData&Version=2010-08-01&Namespace=slipway-dev"
        "&MetricData.member.1.MetricName=A&MetricData.member.1.Value=1.000&MetricData.member.1.Unit=Count"
        "&MetricData.member.2.MetricName=B&MetricData.member.2.Value=2.500&MetricData.member.2.Unit=Percent"
        "&MetricData.member.2.Dimensions.member.1.Name=Volume&MetricData.member.2.Dimensions.member.1.Value=root"
    )


def test_a_stream_is_made_with_its_first_lines(calls: Calls) -> None:
    calls.put_log_events("/s/api", "api-1", [LogEvent(1000, "hello")])
    calls.put_log_events("/s/api", "api-1", [LogEvent(2000, "again")])
    assert calls.made == ["logs PutLogEvents", "logs CreateLogStream", "logs PutLogEvents", "logs PutLogEvents"]
    assert json.loads(calls.bodies[-1])["logEvents"] == [{"timestamp": 2000, "message": "again"}]


def test_a_line_with_an_impossible_time_stops_the_logs_of_its_own_container_alone(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    log_shipping.ship(host)
    for one in machine.containers.values():
        machine.logged[one.name] = [f"{docker_time(machine.time + 1)} a line"]
    bad = sorted(machine.logged)[0]
    machine.logged[bad].append("2999-99-99T99:99:99.999999999Z a line of a program that knows Docker's")
    log_shipping.ship(host)
    assert {name for name, lines in aws.logs.items() if "a line" in lines} == set(machine.logged) - {bad}
    # Nor does it hold up the next release.
    assert deployed(host, release_text(2))["cause"] == ""


def test_a_job_of_the_minute_that_fails_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    machine.doors.clear()

    def fail(_host: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(metrics, "publish", fail)
    with pytest.raises(HostError, match="RecursionError: too deep"):
        boot.tend(host)
    assert machine.doors, "the rule of the public port is back"


def test_a_program_that_a_command_has_just_brought_outlasts_the_end_of_a_release(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    folder = host.store.root / "programs"
    young, old = folder / f"{'a' * 16}.pyz", folder / f"{'b' * 16}.pyz"
    for file in (young, old):
        file.touch()
    os.utime(old, (0, 0))
    deployed(host, release_text(1))
    assert (young.exists(), old.exists()) == (True, False)


def test_while_aws_is_away_one_call_is_enough_to_know(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    log_shipping.ship(host)
    for one in machine.containers.values():
        machine.logged[one.name] = [f"{docker_time(machine.time + 1)} a line"]
    aws.away = True
    asked = len(aws.asked)
    log_shipping.ship(host)
    assert len(aws.asked) == asked + 1
