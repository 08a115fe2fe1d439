"""CloudWatch: alarms that are evaluated over the metrics that somebody put, and what they do."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from devcloud.emulator import cloudwatch
from devcloud.emulator.cloudwatch import AlarmsBackend, evaluate
from devcloud.emulator.moto_overrides import AwsError

ACCOUNT, REGION = "123456789012", "us-east-1"
NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "namespace": "slipway-dev",
    "metric_name": "MemoryUsedPercent",
    "comparison_operator": "GreaterThanOrEqualToThreshold",
    "evaluation_periods": 3,
    "datapoints_to_alarm": 2,
    "period": 60,
    "threshold": 90.0,
    "statistic": "Maximum",
    "description": "memory",
    "dimensions": [],
    "alarm_actions": [],
    "ok_actions": [],
    "insufficient_data_actions": [],
    "treat_missing_data": "missing",
}


@pytest.fixture
def backend() -> AlarmsBackend:
    return AlarmsBackend(REGION, ACCOUNT)


@pytest.fixture
def topic() -> Iterator[str]:
    """Make a topic with a queue that gets its messages."""
    arn = sns_backends[ACCOUNT][REGION].create_topic("alerts").arn
    sqs_backends[ACCOUNT][REGION].create_queue("inbox")
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:inbox"
    subscription = sns_backends[ACCOUNT][REGION].subscribe(arn, queue, "sqs")
    subscription.attributes["RawMessageDelivery"] = "true"
    yield arn
    sns_backends[ACCOUNT][REGION].reset()
    sqs_backends[ACCOUNT][REGION].reset()


@pytest.fixture
def put(backend: AlarmsBackend) -> Callable[..., None]:
    """Put a value as many minutes ago."""

    def put_value(value: float, minutes: float, **more: Any) -> None:
        datum = {"MetricName": "MemoryUsedPercent", "Value": value, "Timestamp": NOW - timedelta(minutes=minutes)}
        backend.put_metric_data("slipway-dev", [{**datum, **more}])

    return put_value


def messages() -> list[dict[str, Any]]:
    queue = sqs_backends[ACCOUNT][REGION].get_queue("inbox")
    return [json.loads(message.body) for message in queue._messages]


def test_an_alarm_begins_and_ends_and_tells_both(backend: AlarmsBackend, put: Callable[..., None], topic: str) -> None:
    alarm = backend.put_metric_alarm("memory", **{**PLAIN, "alarm_actions": [topic], "ok_actions": [topic]})
    assert alarm.state_value == "INSUFFICIENT_DATA"
    put(95, 1)
    put(50, 2)
    put(50, 3)
    evaluate(backend, NOW)
    assert alarm.state_value == "OK", "one of three is over the threshold"
    put(96, 2)
    evaluate(backend, NOW)
    evaluate(backend, NOW)
    assert alarm.state_value == "ALARM"
    evaluate(backend, NOW + timedelta(minutes=2))
    put(40, -1)
    put(40, -2)
    evaluate(backend, NOW + timedelta(minutes=3))
    told = [(message["OldStateValue"], message["NewStateValue"]) for message in messages()]
    assert told == [("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK")]
    assert messages()[1]["AlarmName"] == "memory"
    assert "96" in messages()[1]["NewStateReason"]


def test_a_silent_host_is_an_alarm_some_periods_later(backend: AlarmsBackend, put: Callable[..., None]) -> None:
    silent = {**PLAIN, "comparison_operator": "LessThanThreshold", "threshold": 1.0, "statistic": "SampleCount"}
    alarm = backend.put_metric_alarm(
        "silent", **{**silent, "datapoints_to_alarm": 3, "treat_missing_data": "breaching"}
    )
    put(1, 1)
    states = []
    for minutes in range(7):
        evaluate(backend, NOW + timedelta(minutes=minutes))
        states.append(alarm.state_value)
    assert states == ["OK"] * 5 + ["ALARM"] * 2


def test_other_dimensions_and_the_minute_that_has_not_ended_do_not_count(
    backend: AlarmsBackend, put: Callable[..., None]
) -> None:
    root = {**PLAIN, "dimensions": [{"Name": "Volume", "Value": "root"}], "evaluation_periods": 1}
    alarm = backend.put_metric_alarm("disk", **{**root, "datapoints_to_alarm": None})
    put(99, 1)
    put(99, 1, Dimensions=[{"Name": "Volume", "Value": "data"}])
    put(99, 0.1, Dimensions=[{"Name": "Volume", "Value": "root"}])
    evaluate(backend, NOW)
    assert alarm.state_value == "INSUFFICIENT_DATA"
    put(99, 1, Dimensions=[{"Name": "Volume", "Value": "root"}])
    evaluate(backend, NOW)
    assert alarm.state_value == "ALARM"


def test_a_statistic_is_of_all_values_of_its_period(backend: AlarmsBackend, put: Callable[..., None]) -> None:
    total = {**PLAIN, "statistic": "Sum", "period": 300, "evaluation_periods": 1, "datapoints_to_alarm": 1}
    alarm = backend.put_metric_alarm("errors", **{**total, "threshold": 5.0})
    put(2, 1)
    put(2, 4)
    put(2, 6)
    evaluate(backend, NOW)
    assert alarm.state_value == "OK"
    put(1, 3)
    evaluate(backend, NOW)
    assert alarm.state_value == "ALARM"


def test_a_changed_alarm_keeps_its_state(backend: AlarmsBackend, put: Callable[..., None]) -> None:
    backend.put_metric_alarm("memory", **PLAIN)
    put(95, 1)
    put(95, 2)
    put(95, 3)
    evaluate(backend, NOW)
    assert backend.put_metric_alarm("memory", **{**PLAIN, "threshold": 80.0}).state_value == "ALARM"


@pytest.mark.parametrize(("action", "metric"), [("recover", "System"), ("reboot", "Instance")])
def test_ec2_recovers_or_reboots_the_instance(
    backend: AlarmsBackend, monkeypatch: pytest.MonkeyPatch, action: str, metric: str
) -> None:
    rebooted: list[str] = []

    class Ec2:
        def reboot_instances(self, instance_ids: list[str]) -> None:
            rebooted.extend(instance_ids)

    monkeypatch.setattr(cloudwatch, "ec2_backends", {ACCOUNT: {REGION: Ec2()}})
    check = {
        **PLAIN,
        "namespace": "AWS/EC2",
        "metric_name": f"StatusCheckFailed_{metric}",
        "dimensions": [{"Name": "InstanceId", "Value": "i-1"}],
        "threshold": 1.0,
        "alarm_actions": [f"arn:aws:automate:{REGION}:ec2:{action}"],
    }
    backend.put_metric_alarm("check", **check)
    for minutes in (1, 2, 3):
        datum = {
            "MetricName": check["metric_name"],
            "Value": 1,
            "Timestamp": NOW - timedelta(minutes=minutes),
            "Dimensions": check["dimensions"],
        }
        backend.put_metric_data("AWS/EC2", [datum])
    evaluate(backend, NOW)
    assert rebooted == ["i-1"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metric_data_queries": [object()]}, "does not evaluate metric math"),
        ({"extended_statistic": "p99"}, "does not evaluate percentiles"),
        ({"threshold_metric_id": "ad1"}, "does not evaluate anomaly detection"),
        ({"rule": "ALARM(a)"}, "does not evaluate composite alarms"),
        ({"comparison_operator": "GreaterThanUpperThreshold"}, "does not evaluate Maximum with GreaterThanUpper"),
        ({"alarm_actions": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"]}, "does not carry out the action arn:aws"),
        ({"ok_actions": [f"arn:aws:automate:{REGION}:ec2:terminate"]}, "does not carry out the action"),
        ({"alarm_actions": [f"arn:aws:automate:{REGION}:ec2:recover"]}, "is for the metric StatusCheckFailed_System"),
        ({"period": 45}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"period": 10, "namespace": "AWS/EC2"}, "Period must not be 10, 20 or 30"),
        ({"evaluation_periods": 1441}, "across more than a day"),
        ({"datapoints_to_alarm": 4}, "DatapointsToAlarm must be from 1"),
    ],
)
def test_an_alarm_that_is_not_evaluated_is_refused_by_name(
    backend: AlarmsBackend, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AwsError, match=sentence):
        backend.put_metric_alarm("bad", **{**PLAIN, **changes})
    assert backend.alarms == {}
