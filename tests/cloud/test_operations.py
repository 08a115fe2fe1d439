"""The host's metrics, logs and alarms arrive: what CloudWatch would hold, and what the topic is told.

The e-mail itself and EC2's own metrics (status checks, credits) are not rehearsed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from devcloud.util.waiting import wait_until
from infra.lib import alarms
from infra.releases.run_command import Host
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud

MINUTES = 60.0
TICK_SECONDS = 2 * MINUTES
"""The host looks after itself each minute, and alarms look at minutes that are over."""
SILENT_SECONDS = 8 * MINUTES
LEAST = alarms.Watched(instance_type="t2.small", data_volume=False, certificate=False, backup=False, snapshots=False)


@dataclass
class Operations:
    """The stack's CloudWatch, and a queue that hears what its topic is told."""

    checkout: Checkout
    outputs: dict[str, Any]
    prefix: str
    queue: str
    told: list[tuple[str, str]] = field(default_factory=list)
    """Names of alarms with their new states, as the messages came."""

    @property
    def host(self) -> Host:
        """The host, as commands reach it."""
        return Host(self.checkout.client("ssm"), self.outputs["apiInstanceId"], f"{self.prefix}-host")

    @property
    def release(self) -> dict[str, Any]:
        """The release that the parameter holds."""
        found = self.checkout.client("ssm").get_parameter(Name=self.outputs["releaseParameter"])
        release: dict[str, Any] = json.loads(found["Parameter"]["Value"])
        return release

    def state(self, alarm: str) -> str:
        """Return the state of an alarm."""
        found = self.checkout.client("cloudwatch").describe_alarms(AlarmNames=[f"{self.prefix}-{alarm}"])
        return str(found["MetricAlarms"][0]["StateValue"])

    def values(self, metric: str) -> list[float]:
        """Return the largest values of a metric of the host's, for each minute that has one."""
        now = datetime.now(UTC)
        found = self.checkout.client("cloudwatch").get_metric_statistics(
            Namespace=self.prefix,
            MetricName=metric,
            StartTime=now - timedelta(hours=3),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )
        return [each["Maximum"] for each in found["Datapoints"]]

    def hears(self, alarm: str, state: str, seconds: float) -> bool:
        """Wait until the topic is told of an alarm's state."""

        def heard() -> bool:
            sqs = self.checkout.client("sqs")
            for message in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
                body = json.loads(json.loads(message["Body"])["Message"])
                self.told.append((body["AlarmName"], body["NewStateValue"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            return (f"{self.prefix}-{alarm}", state) in self.told

        return wait_until(heard, seconds)

    def on_host(self, *command: str) -> Done:
        """Run a command on the host."""
        return self.checkout.docker("exec", f"{self.checkout.cloud.network}-{self.outputs['apiInstanceId']}", *command)


@pytest.fixture(scope="module")
def operations(checkout: Checkout, first_up: Done) -> Iterator[Operations]:
    """Subscribe a queue to the stack's topic."""
    outputs = checkout.outputs()
    prefix = outputs["dashboardUrl"].rpartition("/")[2]
    sns, sqs = checkout.client("sns"), checkout.client("sqs")
    (topic,) = [
        each["TopicArn"] for each in sns.list_topics()["Topics"] if each["TopicArn"].endswith(f"{prefix}-alerts")
    ]
    queue = sqs.create_queue(QueueName="hears-alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    yield Operations(checkout, outputs, prefix, queue)
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


def test_the_host_publishes_its_metrics(operations: Operations) -> None:
    assert wait_until(lambda: 1 in operations.values("Serving"), TICK_SECONDS), operations.on_host(
        "journalctl", "--unit", "slipway-tend", "--no-pager", "--lines", "40"
    ).said
    assert 0 < operations.values("MemoryUsedPercent")[-1] < 100
    assert 0 < operations.values("DiskUsedPercent")[-1] < 100
    assert wait_until(lambda: operations.state("host-silent") == "OK", TICK_SECONDS)
    assert wait_until(lambda: operations.state("not-serving") == "OK", TICK_SECONDS)


def test_each_container_has_a_stream_with_its_lines(operations: Operations) -> None:
    logs, group = operations.checkout.client("logs"), f"/{operations.prefix}/api"
    status = operations.host.ask("$LATEST", "status")
    containers = {service["container"] for service in status["services"].values()}

    def streams() -> set[str]:
        return {each["logStreamName"] for each in logs.describe_log_streams(logGroupName=group)["logStreams"]}

    assert wait_until(lambda: containers <= streams(), TICK_SECONDS), streams() ^ containers
    assert any("-migrate" in stream for stream in streams()), "what ran once was sent before it was removed"
    for container in containers:
        events = logs.get_log_events(logGroupName=group, logStreamName=container, startFromHead=True)["events"]
        assert events
        assert [each["timestamp"] for each in events] == sorted(each["timestamp"] for each in events)
        shown = operations.on_host("docker", "logs", container).said
        assert events[0]["message"].strip() in shown, "Docker's own log goes on"


@pytest.fixture(scope="module")
def trouble(operations: Operations) -> None:
    """Give three alarms their reason, so that one wait is for all of them."""
    _release_what_is_absent(operations)
    _use_up_the_memory(operations)
    _answer_with_errors(operations)


def _release_what_is_absent(operations: Operations) -> None:
    """Submit a release whose first image nobody pushed."""
    release = operations.release
    service = sorted(release["services"])[0]
    repository = release["services"][service].partition("@")[0]
    text = json.dumps({**release, "services": {**release["services"], service: f"{repository}@sha256:{'0' * 64}"}})
    answer = operations.host.ask(release["hostVersion"], "submit", text)
    assert answer["state"] == "accepted", answer


def _use_up_the_memory(operations: Operations) -> None:
    """Put values for the minutes that the alarm looks at, many beside the one that the host has put."""
    (memory,) = [alarm for alarm in alarms.alarms(LEAST) if alarm.name == "memory"]
    data = [
        {
            "MetricName": memory.metric.name,
            "Values": [100.0],
            "Counts": [50],
            "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes),
        }
        for minutes in range(memory.periods + 1)
    ]
    operations.checkout.client("cloudwatch").put_metric_data(Namespace=operations.prefix, MetricData=data)


def _answer_with_errors(operations: Operations) -> None:
    """Ask for the API while its container is stopped."""
    container = operations.host.ask("$LATEST", "status")["services"]["api"]["container"]
    assert operations.on_host("docker", "stop", "--time", "1", container).code == 0
    try:
        address = f"{operations.outputs['apiUrl']}/api/labs"
        statuses = {httpx.get(address, timeout=30, trust_env=False).status_code for _ in range(5)}
    finally:
        assert operations.on_host("docker", "start", container).code == 0
    assert statuses == {502}


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("alarm", ["release-failed", "memory", "server-errors"])
def test_trouble_is_told(operations: Operations, alarm: str) -> None:
    assert operations.hears(alarm, "ALARM", TICK_SECONDS + MINUTES), operations.told


@pytest.mark.soak
def test_a_silent_host_is_told_and_so_is_its_return(operations: Operations) -> None:
    operations.on_host("systemctl", "stop", "slipway-tend.timer")
    try:
        assert operations.hears("host-silent", "ALARM", SILENT_SECONDS), operations.told
    finally:
        operations.on_host("systemctl", "start", "slipway-tend.timer")
    operations.told.clear()
    assert operations.hears("host-silent", "OK", TICK_SECONDS + MINUTES), operations.told
