"""The page about alarms, docs/alarms.md, made from their table."""

from infra.lib import cost
from infra.lib.alarms import Alarm, Watched, alarms, metrics

EVERYTHING = Watched(instance_type="t2.small", data_volume=True, certificate=True, backup=True, snapshots=True)
SIGNS = {
    "GreaterThanOrEqualToThreshold": "≥",
    "GreaterThanThreshold": ">",
    "LessThanOrEqualToThreshold": "≤",
    "LessThanThreshold": "<",
}
INTRODUCTION = """\
# Alarms

Made from `infra/lib/alarms.py` by `make generate`; change that file, not this page.

Set `alerts.email` to be told: AWS sends one e-mail to confirm the address, and after that a message when an alarm
begins and when it ends. Without an address the alarms are on the CloudWatch dashboard only (output `dashboardUrl`). An
alarm's name starts with `<project>-<stack>-`.

A stack has only the alarms about what it has: disk-data needs a service with a volume or a domain, certificate a
domain, backup-old a database on the host, snapshot-failed and snapshot-missing snapshots of the volume. The first `up`
of an account needs the right to create the service-linked role of CloudWatch Events (`iam:CreateServiceLinkedRole`), by
which EC2 recovers and reboots.
"""
COST = """\
## Metrics and cost

The host publishes these metrics once a minute, in the namespace `<project>-<stack>`:

{metrics}

Each costs ${metric:.2f} a month, each alarm ${alarm:.2f}, the dashboard ${dashboard:.2f}, the calls ${calls:.2f}; they
are in the output `monthlyCostUsdByPart`. An account has 10 metrics, 10 alarms and 3 dashboards free; the bill leaves
that out, since its stacks share them.

## Logs

The host sends what the containers log to the log group `/<project>-<stack>/api` each minute, and at once before it
removes a container: a stream for each container, whose name holds service and release. While CloudWatch is away, the
lines stay in Docker's own logs (12 MB for each container) and are sent later. The host's command `logs` reads those,
and so works without CloudWatch.

## Rehearsal

The cloud on this machine evaluates these alarms as AWS does and publishes to the topic. It sends no e-mail. The metrics
of EC2 (status checks, credits) and of Data Lifecycle Manager exist there only if a test puts them.
"""


def document() -> str:
    """Return the page."""
    listed = metrics(EVERYTHING)
    names = "\n".join(
        f"- `{metric.name}`" + "".join(f" ({name} `{value}`)" for name, value in metric.dimensions.items())
        for metric in listed
    )
    calls = cost.METRICS_CALL * cost.METRICS_CALLS
    costs = COST.format(metrics=names, metric=cost.METRIC, alarm=cost.ALARM, dashboard=cost.DASHBOARD, calls=calls)
    return "\n".join([INTRODUCTION, *map(_section, alarms(EVERYTHING)), costs])


def _section(alarm: Alarm) -> str:
    """Return what the page says of one alarm."""
    sign = f"{SIGNS[alarm.comparison]} {alarm.threshold:g}"
    silence = ", and a notification if the data stop" if alarm.notify_without_data else ""
    action = f" EC2's own action: {alarm.ec2_action}." if alarm.ec2_action else ""
    return (
        f"## {alarm.name}\n\n"
        f"{alarm.meaning}\n\n"
        f"**What to do.** {alarm.remedy}\n\n"
        f"`{alarm.metric.name}`, {alarm.statistic} of {alarm.period_seconds} s {sign}, in {alarm.to_alarm} of "
        f"{alarm.periods} periods; no data: {alarm.missing}{silence}.{action} {alarm.reason}\n"
    )
