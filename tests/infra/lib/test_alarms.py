"""The table of alarms: what AWS takes, what it depends on, and that the host publishes what it names."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.host import metrics as host_metrics
from infra.host import tls
from infra.host.aws import Datum
from infra.lib import alarms
from infra.lib.alarms import Watched
from infra.lib.cloudwatch_dashboard import COLUMNS, Graph, Line, body
from tests.infra.host.fake import NVME, SERVICES, make, release_text, service
from tests.infra.host.test_deploy import deployed
from tests.infra.host.test_tls import DOMAIN, given

EVERYTHING = Watched(instance_type="t2.small", data_volume=True, certificate=True, backup=True, snapshots=True)
LEAST = Watched(instance_type="t2.small", data_volume=False, certificate=False, backup=False, snapshots=False)


def names(watched: Watched) -> set[str]:
    return {alarm.name for alarm in alarms.alarms(watched)}


def test_alarms_are_only_about_what_a_stack_has() -> None:
    assert names(EVERYTHING) - names(LEAST) == {
        "disk-data",
        "certificate",
        "backup-old",
        "snapshot-failed",
        "snapshot-missing",
    }
    assert len(alarms.alarms(EVERYTHING)) == len(names(EVERYTHING))


@pytest.mark.parametrize(
    ("instance_type", "burstable"),
    [("t2.small", True), ("t3.large", True), ("t3a.small", True), ("t4g.small", True), ("m5.large", False)],
)
def test_credits_are_watched_on_every_type_that_has_them(instance_type: str, burstable: bool) -> None:
    watched = replace(LEAST, instance_type=instance_type)
    found = [alarm.metric.name for alarm in alarms.alarms(watched) if alarm.name == "cpu-credits"]
    assert found == ["CPUCreditBalance"] * burstable


def test_every_alarm_can_fire_and_says_what_to_do() -> None:
    for alarm in alarms.alarms(EVERYTHING):
        assert 1 <= alarm.to_alarm <= alarm.periods
        # A day, or a week for periods of an hour or more (API reference, PutMetricAlarm).
        assert alarm.period_seconds * alarm.periods <= (604_800 if alarm.period_seconds >= 3600 else 86_400)
        assert len(alarm.description) <= 1024
        assert alarm.meaning.endswith(".")
        assert alarm.remedy.endswith(".")


@pytest.mark.parametrize("days", [90, 45, 6])
def test_a_certificate_that_is_renewed_in_time_sets_off_no_alarm_however_short_its_life(days: int) -> None:
    (alarm,) = [alarm for alarm in alarms.alarms(EVERYTHING) if alarm.name == "certificate"]
    assert alarm.metric.name == "CertificateLifeLeftPercent"
    # The edge renews with a third left, and tries for a while.
    assert alarm.threshold < 100 / 3 - 100 * 0.5 / days
    # `up` must have the reason once the alarm says that it has.
    assert 0.9 * 100 * tls.LATE < alarm.threshold <= 100 * tls.LATE


def test_a_silent_host_is_the_only_alarm_that_missing_data_sets_off() -> None:
    assert [alarm.name for alarm in alarms.alarms(EVERYTHING) if alarm.missing == "breaching"] == ["host-silent"]


def test_recovery_comes_before_the_reboot() -> None:
    by_action = {alarm.ec2_action: alarm for alarm in alarms.alarms(LEAST) if alarm.ec2_action}
    assert by_action["recover"].metric.name == "StatusCheckFailed_System"
    assert by_action["reboot"].metric.name == "StatusCheckFailed_Instance"
    assert by_action["recover"].periods < by_action["reboot"].periods


def test_the_host_publishes_every_metric_of_the_table(tmp_path: Path) -> None:
    services = {**SERVICES, "db": service(ready=None, port=5432, volume="/data", user=999, dump=["dump"])}
    host, machine, _ = make(tmp_path, services, tls=given())
    machine.disks[NVME] = "ext4"
    machine.certified[DOMAIN] = 0
    deployed(host, release_text(1, services=services))
    published = {(datum.name, *datum.dimensions.items()) for datum in host_metrics.measure(host, 0, 1)}
    assert published == {(metric.name, *metric.dimensions.items()) for metric in alarms.metrics(EVERYTHING)}


def test_units_of_the_host_are_words_of_aws(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    data: list[Datum] = list(host_metrics.measure(host, 0, 1))
    assert {datum.unit for datum in data} <= {"Percent", "Count", "None"}


def test_a_dashboard_shows_alarms_graphs_and_errors_side_by_side() -> None:
    line = Line("ns", "Memory", {"Volume": "root"}, "Maximum")
    graphs = [Graph(f"graph {number}", [line]) for number in range(4)]
    document = json.loads(body(region="eu-west-1", alarm_arns=["arn:a"], graphs=graphs, errors_of="/s/api"))
    widgets = document["widgets"]
    assert [widget["type"] for widget in widgets] == ["alarm", *["metric"] * 4, "log"]
    assert widgets[1]["properties"]["metrics"] == [["ns", "Memory", "Volume", "root", {"stat": "Maximum"}]]
    assert "SOURCE '/s/api'" in widgets[-1]["properties"]["query"]
    cells = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells)), "no widget covers another"
    assert max(x for x, _ in cells) == COLUMNS - 1
