"""Releases to a host in trouble: what takes minutes each, for `make soak`. Moments are random, of SLIPWAY_SEED."""

import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.cloud.bad_releases import migration
from tests.cloud.releases import Release, wait_for_the_drain

pytestmark = [pytest.mark.cloud, pytest.mark.soak]

AWAY_SECONDS = 20
RELEASE_SECONDS = 20
"""A release of one service takes about as long: it is killed somewhere in these."""
LOW_CPU = "0.2"
NEW_COLUMN = "ALTER TABLE lab_panels ADD COLUMN of_a_test integer"


@dataclass(frozen=True)
class Trouble:
    """Something of the host goes away, and comes back: shell commands on the host."""

    begin: str
    end: str
    at: str
    """The line of the release that it goes away at."""


AWS = (
    'gateway=$(sed -n \'s,.*"aws": "http://\\([^"]*\\)".*,\\1,p\' /etc/devcloud/machine.json); '
    "for chain in OUTPUT FORWARD; do iptables {action} $chain -p tcp -d ${{gateway%:*}} --dport ${{gateway#*:}} "
    "-j REJECT --reject-with tcp-reset; done"
)
TROUBLES = {
    "the registry is away for 20 s": Trouble(
        "systemctl stop devcloud-registry.socket devcloud-registry.service",
        "systemctl start devcloud-registry.socket",
        "check",
    ),
    "AWS is away for 20 s": Trouble(AWS.format(action="-I"), AWS.format(action="-D"), "check"),
    "the resolver is away for 20 s": Trouble("systemctl stop devcloud-dns", "systemctl start devcloud-dns", "check"),
    "Docker is restarted": Trouble("systemctl restart docker", "true", r"migrate|api$"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_away_for_a_while_refuses_or_delays_a_release(release: Release, name: str) -> None:
    trouble = TROUBLES[name]
    wait_for_the_drain(release)
    reference, before = release.variant("api"), release.untouched
    back = threading.Timer(AWAY_SECONDS, lambda: release.on_host("sh", "-c", trouble.end))

    def go_away() -> None:
        release.on_host("sh", "-c", trouble.begin)
        back.start()

    refusal, seconds = release.hand_over(release.text(api=reference), trouble.at, go_away)
    back.join()
    release.report.add(4, name, "refused" if refusal else "serves, later", seconds, refusal)
    if refusal:
        assert release.untouched == before
        assert "fault of Slipway" not in refusal
    else:
        assert release.serves == reference.partition("@")[2]
    assert release.failed() == []
    assert_the_next_release_serves(release)


def test_short_memory_refuses_a_release(release: Release) -> None:
    wait_for_the_drain(release)
    text, before = release.text(api=release.variant("api")), release.untouched
    release.on_host("sh", "-c", "sed 's/^MemAvailable:.*/MemAvailable: 102400 kB/' /proc/meminfo > /run/meminfo")
    release.on_host("mount", "--bind", "/run/meminfo", "/proc/meminfo")
    try:
        refusal, seconds = release.hand_over(text)
    finally:
        release.on_host("umount", "/proc/meminfo")
    release.report.add(4, "memory short", "refused", seconds, refusal)
    assert re.search(r"failed at `check`: The host has 100 MiB of free memory, but the release needs", refusal), refusal
    assert release.untouched == before
    assert release.failed() == []


@pytest.mark.parametrize(("held", "goes_through"), [(60, True), (600, False)], ids=["60 s", "without end"])
def test_a_migration_waits_for_a_reader(release: Release, held: int, goes_through: bool) -> None:
    wait_for_the_drain(release)
    reference = release.variant("migrate", migration(release.checkout.root, NEW_COLUMN))
    before = release.untouched
    (version,) = re.findall(r"'(\w+)'", release.query("SELECT version_num FROM alembic_version"))
    release.query("SELECT count(*) FROM lab_panels", seconds=held, detach=True)
    try:
        refusal, seconds = release.hand_over(release.text(migrate=reference))
    finally:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        release.query(f"{end} AND application_name = 'reader' AND pid <> pg_backend_pid()")
        undo = "ALTER TABLE lab_panels DROP COLUMN IF EXISTS of_a_test"
        release.query(undo, f"UPDATE alembic_version SET version_num = '{version}'")  # noqa: S608  found just now
    outcome = "serves, 0 failed" if not refusal else "refused"
    release.report.add(3, f"a reader holds the table for {held} s", outcome, seconds, refusal)
    if goes_through:
        assert refusal == ""
        assert seconds > held / 2
    else:
        assert "failed at `migrate`: migrate ended with exit code 1" in refusal
        assert "a table has been in use all the while" in refusal
        assert release.untouched == before
    assert release.failed() == []


@pytest.mark.parametrize("number", range(20))
def test_the_hosts_program_is_killed_at_any_moment(release: Release, number: int) -> None:
    wait_for_the_drain(release)
    moment = random.Random(f"{release.report.seed} {number}").uniform(0, RELEASE_SECONDS)
    kill = "systemctl kill --signal=KILL slipway-release; true"
    outcome, seconds = ended(release, moment, lambda: release.on_host("sh", "-c", kill))
    release.report.add(5, f"the program killed -9 after {moment:.1f} s", outcome, seconds)
    assert release.failed() == []
    assert_the_next_release_serves(release)


@pytest.mark.parametrize("number", range(5))
def test_the_host_is_rebooted_at_any_moment(release: Release, number: int) -> None:
    wait_for_the_drain(release)
    moment = random.Random(f"{release.report.seed} {number}").uniform(0, RELEASE_SECONDS)
    instance = release.outputs["apiInstanceId"]
    with release.outage():
        reboot = release.checkout.client("ec2").reboot_instances
        outcome, seconds = ended(release, moment, lambda: reboot(InstanceIds=[instance]))
        release.seconds_until("/api/health", 120)
    release.report.add(5, f"the host rebooted after {moment:.1f} s", outcome, seconds)
    assert_the_next_release_serves(release)


def test_a_host_without_cpu_credits_serves_the_release_or_refuses_it(release: Release) -> None:
    wait_for_the_drain(release)
    reference, before = release.variant("api"), release.untouched
    with release.without_load():
        assert release.checkout.docker("update", "--cpus", LOW_CPU, release.host).code == 0
        try:
            refusal, seconds = release.hand_over(release.text(api=reference))
        finally:
            assert release.checkout.docker("update", "--cpus", "1", release.host).code == 0
    release.report.add(11, "the host's CPU held to 0.2", "refused" if refusal else "serves", seconds, refusal)
    if refusal:
        assert release.untouched == before
    else:
        assert release.serves == reference.partition("@")[2]
    assert_the_next_release_serves(release)


def ended(release: Release, moment: float, fault: Callable[[], object]) -> tuple[str, float]:
    """Hand over a release and cause a fault some seconds after it began; one whole release must serve then.

    Return which one, and the seconds that the gate took.
    """
    old, reference = release.serves, release.variant("api")
    new = reference.partition("@")[2]
    timer = threading.Timer(moment, fault)
    refusal, seconds = release.hand_over(release.text(api=reference), "check", timer.start)
    timer.join()
    release.seconds_until("/api/health", 120)
    serves = release.serves
    assert serves == (old if refusal else new), refusal
    return "undone, the old one serves" if refusal else "finished, the new one serves", seconds


def assert_the_next_release_serves(release: Release) -> None:
    """Hand over the release of the parameter: the host ends with what the state says, and with nothing else."""
    refusal, _ = release.hand_over(release.parameter)
    assert refusal == ""
    wait_for_the_drain(release)
    release_id = {name.split()[0].rpartition("-")[2] for name in release.containers.splitlines()}
    assert release_id == set(json.loads(release.parameter)["services"]) - {"migrate"}
    assert release.serves == release.image_of("api").partition("@")[2]
    time.sleep(1)
