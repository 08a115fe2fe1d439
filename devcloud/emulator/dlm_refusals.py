"""Find what Data Lifecycle Manager refuses in a policy besides its model's constraints: pure functions.

The rules are those of the API reference and the user guide, read in 2026-11; the words are not AWS's, of which public
issues show the code alone (InvalidRequestException).
"""

from collections.abc import Iterator, Mapping
from typing import Any

HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
"""The intervals between snapshots (CreateRule)."""
CRON_FIELDS = 6
OF_A_POLICY = ("ResourceTypes", "TargetTags", "Schedules")


def problems(details: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the details of a policy for snapshots."""
    kind = details.get("PolicyType") or "EBS_SNAPSHOT_MANAGEMENT"
    if kind != "EBS_SNAPSHOT_MANAGEMENT":
        yield f"devcloud's emulator does not know policies of the type {kind}."
        return
    for name in OF_A_POLICY:
        if not details.get(name):
            yield f"A custom policy for snapshots needs {name}."
    for tag in details.get("TargetTags") or []:
        if tag["Key"].lower().startswith("aws:"):
            yield f"The tag {tag['Key']} is AWS's own: a policy cannot target it."
    schedules = details.get("Schedules") or []
    for schedule in schedules:
        yield from _schedule(schedule)
    names = [schedule.get("Name") for schedule in schedules]
    if len(set(names)) < len(names):
        yield "Two schedules have the same name."


def _schedule(schedule: Mapping[str, Any]) -> Iterator[str]:
    if not schedule.get("Name"):
        yield "A schedule needs a Name."
    yield from _create_rule(schedule.get("CreateRule") or {})
    yield from _retain_rule(schedule.get("RetainRule") or {})


def _create_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    cron, interval = rule.get("CronExpression"), rule.get("Interval")
    if (cron is None) == (interval is None):
        yield "A CreateRule needs either an Interval or a CronExpression."
    if cron is not None:
        if rule.get("IntervalUnit") or rule.get("Times"):
            yield "A CreateRule with a CronExpression has no IntervalUnit and no Times."
        if len(cron.removeprefix("cron(").removesuffix(")").split()) != CRON_FIELDS:
            yield f"{cron} does not have six fields: minutes, hours, day of month, month, day of week and year."
    if interval is not None and (interval not in HOURS or rule.get("IntervalUnit") != "HOURS"):
        yield f"An Interval is one of {', '.join(map(str, HOURS))}, with the IntervalUnit HOURS."


def _retain_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a rule, which is by count or by age. Zero, which the model allows, is for archives."""
    by_count, by_age = bool(rule.get("Count")), bool(rule.get("Interval") and rule.get("IntervalUnit"))
    if by_count == by_age:
        yield "A RetainRule needs either a Count, or an Interval with its IntervalUnit."
