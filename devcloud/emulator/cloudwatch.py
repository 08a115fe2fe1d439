"""CloudWatch: alarms that are evaluated, and act. moto keeps alarms and metrics, and does nothing with them.

No issue of moto's asks for it. AWS publishes metrics of its own about instances and queues; here only those exist that
somebody puts.
"""

import json
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch import urls
from moto.cloudwatch.models import Alarm, CloudWatchBackend, Statistics, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.models import ec2_backends
from moto.sns.models import sns_backends

from devcloud.emulator import alarm_states, moto_overrides
from devcloud.emulator.alarm_states import INSUFFICIENT_DATA, Rule
from devcloud.emulator.moto_overrides import AwsError

PAUSE_SECONDS = 5.0
"""How often alarms are evaluated; AWS does it each minute."""
SHORT_PERIODS = (10, 20, 30)
DAY_SECONDS = 86_400
HOUR_SECONDS = 3600
STATISTICS = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
EC2_METRICS = {"recover": "StatusCheckFailed_System", "reboot": "StatusCheckFailed_Instance"}
"""The metric that each of EC2's actions is for (Amazon EC2 user guide, "Create alarms that stop, ... an instance")."""


class AlarmsBackend(CloudWatchBackend):
    """moto's, with alarms that have a state."""

    _url_module = urls

    def put_metric_alarm(self, name: str, *args: Any, **asked: Any) -> Alarm:
        """PutMetricAlarm: an alarm that is changed keeps its state; a new one has no data."""
        refuse(asked)
        before = self.alarms.get(name)
        alarm = super().put_metric_alarm(name, *args, **asked)
        if before:
            alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
        else:
            alarm.state_value = INSUFFICIENT_DATA
        return alarm


def refuse(asked: dict[str, Any]) -> None:
    """Refuse an alarm that AWS does not take, or that is not evaluated here, which the message then says."""
    for key, what in (
        ("rule", "composite alarms"),
        ("metric_data_queries", "metric math"),
        ("extended_statistic", "percentiles"),
        ("threshold_metric_id", "anomaly detection"),
    ):
        if asked.get(key):
            raise AwsError("ValidationError", f"devcloud's CloudWatch does not evaluate {what}: use a plain metric.")
    period, periods = int(asked["period"] or 0), int(asked["evaluation_periods"])
    if asked["statistic"] not in STATISTICS or asked["comparison_operator"] not in alarm_states.COMPARISONS:
        raise AwsError(
            "ValidationError",
            f"devcloud's CloudWatch does not evaluate {asked['statistic']} with {asked['comparison_operator']}.",
        )
    if period not in SHORT_PERIODS and (period < 60 or period % 60):
        raise AwsError("ValidationError", "Period must be 10, 20, 30 or a multiple of 60.")
    if period in SHORT_PERIODS and asked["namespace"].startswith("AWS/"):
        raise AwsError("ValidationError", "Period must not be 10, 20 or 30 for metrics in the AWS/ namespaces.")
    longest = DAY_SECONDS if period < HOUR_SECONDS else 7 * DAY_SECONDS
    if period * periods > longest:
        raise AwsError(
            "ValidationError", "Metrics cannot be checked across more than a day (EvaluationPeriods*Period)."
        )
    if not 1 <= int(asked["datapoints_to_alarm"] or periods) <= periods:
        raise AwsError("ValidationError", "DatapointsToAlarm must be from 1 to EvaluationPeriods.")
    for arn in _actions(asked["alarm_actions"], asked["ok_actions"], asked["insufficient_data_actions"]):
        _refuse_action(arn, asked)


def _actions(*lists: Sequence[str] | None) -> list[str]:
    return [arn for arns in lists for arn in arns or ()]


def _refuse_action(arn: str, asked: dict[str, Any]) -> None:
    _, _, service, *_, action = arn.split(":")
    if service == "sns":
        return
    metric = EC2_METRICS.get(action) if service == "automate" else None
    if metric is None:
        raise AwsError("ValidationError", f"devcloud's CloudWatch does not carry out the action {arn}.")
    of_instance = [dimension["Name"] for dimension in asked["dimensions"]] == ["InstanceId"]
    if (asked["namespace"], asked["metric_name"]) != ("AWS/EC2", metric) or not of_instance:
        raise AwsError("ValidationError", f"The action {arn} is for the metric {metric} of one instance in AWS/EC2.")


def evaluate(backend: CloudWatchBackend, now: datetime) -> None:
    """Give each alarm its state, and carry out what a change asks for. `now` is in UTC."""
    for alarm in list(backend.alarms.values()):
        rule = Rule(
            comparison=alarm.comparison_operator,
            threshold=float(alarm.threshold),
            periods=int(alarm.evaluation_periods),
            to_alarm=int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
            missing=alarm.treat_missing_data or "missing",
        )
        values = _values(backend, alarm, rule.periods + alarm_states.MORE_PERIODS, now)
        found = alarm_states.state(rule, values, alarm.state_value)
        if found != alarm.state_value:
            before = alarm.state_value
            shown = ", ".join("none" if value is None else f"{value:g}" for value in values)
            data = json.dumps({"version": "1.0", "threshold": rule.threshold, "period": int(alarm.period)})
            alarm.update_state(f"The newest values are {shown}; the threshold is {rule.threshold:g}.", data, found)
            if alarm.actions_enabled:
                _act(backend, alarm, before, now)


def _values(backend: CloudWatchBackend, alarm: Alarm, count: int, now: datetime) -> list[float | None]:
    """Return the statistic of the complete periods of an alarm, the newest first; None for one without data."""
    period = int(alarm.period)
    # Periods of more than a minute slide: AWS looks at the last minutes, whatever the clock says.
    step = min(period, 60)
    end = datetime.fromtimestamp(int(now.timestamp()) // step * step, UTC)
    wanted = sorted((dimension.name, dimension.value) for dimension in alarm.dimensions)
    data = [
        datum
        for datum in list(backend.metric_data)
        if (datum.namespace, datum.name) == (alarm.namespace, alarm.metric_name)
        and sorted((dimension.name, dimension.value) for dimension in datum.dimensions) == wanted
        and (not alarm.unit or datum.unit == alarm.unit)
    ]
    values: list[float | None] = []
    for number in range(count):
        until = end - timedelta(seconds=number * period)
        statistics = Statistics([alarm.statistic], until)
        since = until - timedelta(seconds=period)
        statistics.metric_data = [datum for datum in data if since <= _in_utc(datum.timestamp) < until]
        value = statistics.get_statistics_for_type(alarm.statistic) if statistics.metric_data else None
        values.append(None if value is None else float(value))
    return values


def _in_utc(moment: datetime) -> datetime:
    # moto's own times have no zone.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _act(backend: CloudWatchBackend, alarm: Alarm, before: str, now: datetime) -> None:
    actions = {
        alarm_states.OK: alarm.ok_actions,
        alarm_states.ALARM: alarm.alarm_actions,
        INSUFFICIENT_DATA: alarm.insufficient_data_actions,
    }
    for arn in actions[alarm.state_value]:
        service, region, account = arn.split(":")[2:5]
        if service == "sns":
            topic = sns_backends[account][region].topics.get(arn)
            if topic:
                message = json.dumps(_message(backend, alarm, before, now))
                topic.publish(message, subject=f'{alarm.state_value}: "{alarm.name}" in {region}')
        else:
            # A recovery moves an instance to other hardware, which is a reboot to the system on it.
            (instance_id,) = [dimension.value for dimension in alarm.dimensions]
            ec2_backends[backend.account_id][region].reboot_instances([str(instance_id)])


def _message(backend: CloudWatchBackend, alarm: Alarm, before: str, now: datetime) -> dict[str, Any]:
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "AlarmArn": alarm.alarm_arn,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "OldStateValue": before,
        "StateChangeTime": now.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": backend.region_name,
        "Trigger": {
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric_name,
            "Statistic": alarm.statistic,
            "Period": int(alarm.period),
            "EvaluationPeriods": int(alarm.evaluation_periods),
            "Threshold": float(alarm.threshold),
            "ComparisonOperator": alarm.comparison_operator,
            "TreatMissingData": alarm.treat_missing_data,
        },
    }


def evaluate_for_ever() -> None:
    """Evaluate all alarms of all accounts, again and again."""
    while True:
        time.sleep(PAUSE_SECONDS)
        for account in list(cloudwatch_backends.values()):
            for backend in list(account.values()):
                try:
                    evaluate(backend, datetime.now(UTC))
                except Exception:  # noqa: BLE001 - one that fails must not end the others
                    sys.stderr.write(traceback.format_exc())


def install() -> None:
    """Put the backend in moto's place."""
    moto_overrides.install(cloudwatch_backends, AlarmsBackend, urls, CloudWatchResponse)
