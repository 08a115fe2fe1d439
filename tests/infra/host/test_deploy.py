"""The algorithm of a release, against a stand-in that is strict about each command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from infra.host import boot, commands, front
from infra.host.aws import AwsError
from infra.host.host import Host
from infra.host.journal import Journal
from infra.host.release import release_id
from tests.infra.host.fake import (
    OWN,
    PUBLIC,
    SECRET,
    SERVICES,
    Behaviour,
    FakeMachine,
    Killed,
    digest,
    image,
    make,
    release_text,
    service,
)


def deployed(host: Host, text: str) -> dict[str, Any]:
    """Submit a release, carry it out, and return its verdict."""
    answer = commands.submit(host, text)
    assert answer["state"] == "accepted"
    commands.resume(host)
    assert isinstance(host.machine, FakeMachine)
    host.machine.unit_active = False
    verdict = journal_of(host, answer["release"]).last("verdict")
    assert verdict is not None
    return dict(verdict["verdict"])


def journal_of(host: Host, release: str) -> Journal:
    journal = host.store.journal(release)
    assert journal is not None
    return journal


def served(host: Host) -> dict[str, str]:
    """Return the digests that answer at the public port."""
    machine = host.machine
    return {
        one.name: machine.get(OWN, PUBLIC, one.health_path, 5).headers["x-image-digest"] for one in host.graph.visible
    }


def assert_one_whole_release_serves(host: Host, machine: FakeMachine, texts: list[str]) -> None:
    """Assert that exactly one of the releases serves, that nothing else is left, and that nothing is open."""
    current = host.store.current()
    assert current is not None
    assert current.release.text in texts
    assert served(host) == {name: front.expected_digests(current)[name] for name in served(host)}
    assert sorted(machine.containers) == sorted(current.containers)
    assert all(machine.runs(one) and one.restart == "unless-stopped" for one in machine.containers.values())
    assert host.store.open_release() is None
    assert list(host.store.memory.glob("*.env")) == []


def test_the_first_release_serves(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    verdict = deployed(host, release_text(1))
    assert verdict["cause"] == ""
    assert served(host) == dict.fromkeys(("api", "dashboard", "web"), digest(1))
    assert_one_whole_release_serves(host, machine, [release_text(1)])
    steps = ["check", "pull", "secrets", "migrate", "api", "dashboard", "web", "verify", "steady", "turn", "watch"]
    assert list(verdict["seconds"]) == steps


def test_what_did_not_change_keeps_running_and_the_edge_is_new(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    before = host.store.current()
    assert deployed(host, release_text(1, api=2))["cause"] == ""
    after = host.store.current()
    assert before is not None
    assert after is not None
    assert after.services["dashboard"] == before.services["dashboard"]
    assert after.services["api"] != before.services["api"]
    assert after.services["web"].container != before.services["web"].container
    assert served(host) == {"api": digest(2), "dashboard": digest(1), "web": digest(1)}
    assert_one_whole_release_serves(host, machine, [release_text(1, api=2)])


def test_a_rotated_secret_restarts_its_services_alone(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    aws.asked.clear()
    deployed(host, release_text(1, secret=2))
    assert "/slipway/local/database-url:2" in aws.asked
    release = release_id(release_text(1, secret=2))
    assert {name for name in machine.containers if release in name} == {
        f"slipway-local-{release}-api",
        f"slipway-local-{release}-web",
    }


def test_the_old_edge_ends_before_the_containers_behind_it(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    old = host.store.current()
    assert old is not None
    machine.commands.clear()
    deployed(host, release_text(2))
    stops = [command[4:] for command in machine.commands if command[:2] == ["docker", "stop"]]
    assert stops[0] == [old.services["web"].container]
    assert sorted(stops[1]) == sorted(old.services[name].container for name in ("api", "dashboard"))


def test_the_same_release_is_a_no_op(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    machine.commands.clear()
    assert commands.submit(host, release_text(1))["state"] == "serving"
    assert {command[0] for command in machine.commands} == {"docker", "iptables"}


def test_the_same_release_is_repaired_if_something_of_it_is_gone(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    api = next(name for name in machine.containers if name.endswith("-api"))
    del machine.containers[api]
    machine.doors = {}
    assert deployed(host, release_text(1))["cause"] == ""
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_three_releases_keep_their_images(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    for number in (1, 2, 3, 4):
        deployed(host, release_text(number))
    assert machine.pulled == {image(name, number) for name in SERVICES for number in (2, 3, 4)}


def test_another_release_waits(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    first = commands.submit(host, release_text(1))
    assert first["state"] == "accepted"
    assert commands.submit(host, release_text(2)) | {"release": ""} == {
        "release": "",
        "state": "busy",
        "busyWith": first["release"],
    }
    assert commands.submit(host, release_text(1))["state"] == "accepted"


REFUSALS: dict[str, tuple[str, Behaviour, str]] = {
    "exits at once": ("api", Behaviour(ends_after=0.1), r"api ended with exit code 1;"),
    "hangs": ("api", Behaviour(hangs=True), r"api was not ready within 45 s: GET /ready on port 8000 got no answer"),
    "is never ready": (
        "api",
        Behaviour(ready_status=503, ready_body='{"database": {"ok": false}}'),
        r"api was not ready within 45 s: GET /ready answered 503: \{",
    ),
    "dies while others start": ("api", Behaviour(ends_after=1.2, exit_code=7), r"api ended with exit code 7;"),
    "dies 5 s after it was ready": ("web", Behaviour(ends_after=5.6), r"web ended with exit code 1;"),
    "listens on another port": (
        "api",
        Behaviour(port=9000),
        r"not ready within 45 s: nothing listens on its port 8000 \(it listens on 9000\)\.",
    ),
    "answers a probe with 500": (
        "api",
        Behaviour(status={"/labs": 500}),
        r"The probe GET /labs of api answered 500, but product.yaml expects 401\.",
    ),
    "eats its memory": (
        "dashboard",
        Behaviour(ends_after=3, exit_code=137, out_of_memory=True),
        r"dashboard needed more than its 100 MiB of memory",
    ),
    "cannot be started": ("api", Behaviour(refuses="exec format error"), r"api cannot be started: .*exec format error"),
    "fails to migrate": ("migrate", Behaviour(ends_after=2, exit_code=3), r"migrate ended with exit code 3;"),
    "hangs in its migration": ("migrate", Behaviour(ends_after=10_000), r"migrate did not end within 120 s"),
    "says another digest": (
        "api",
        Behaviour(says_digest=digest(7)),
        r"Through the new edge, api: GET /api/health .* is served by another image",
    ),
    "says no digest": ("api", Behaviour(says_digest=None), r"answered without the header X-Image-Digest"),
    "breaks in service": ("web", Behaviour(breaks_after_turn=True), r"Through the public port, .*answered 500: broken"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bad_release_is_refused_and_the_old_one_serves(name: str, tmp_path: Path) -> None:
    culprit, behaviour, cause = REFUSALS[name]
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    before = host.store.current()
    machine.behaviours[image(culprit, 2)] = behaviour
    machine.invariant = assert_something_serves
    verdict = deployed(host, release_text(2))
    assert re.search(cause, verdict["cause"]), verdict["cause"]
    assert verdict["service"] in (culprit, "api", "dashboard")
    assert host.store.current() == before
    assert_one_whole_release_serves(host, machine, [release_text(1)])
    assert deployed(host, release_text(3))["cause"] == ""


def assert_something_serves(machine: FakeMachine) -> None:
    """Assert that the API answers at the public port, whichever release serves it."""
    answer = machine._answer(machine.nat.split(":")[0], int(machine.nat.split(":")[1]), "/api/health", 5)
    assert answer.status == 200


def test_an_image_that_is_not_in_the_registry_is_refused(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.absent_images.add(image("api", 1))
    cause = deployed(host, release_text(1))["cause"]
    assert cause.startswith(f"slipway-local/api@{digest(1)[:19]} is not in the registry: build and push it again")
    assert machine.containers == {}


def test_an_image_for_another_processor_is_refused(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.architectures[image("api", 1)] = "arm64"
    assert "is built for arm64, but the host is amd64" in deployed(host, release_text(1))["cause"]


@pytest.mark.parametrize("away", ["registry_away_until", "docker_away_until"])
def test_a_service_that_is_away_for_20_s_delays_the_release(away: str, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    setattr(machine, away, machine.time + 20)
    assert deployed(host, release_text(1))["cause"] == ""


def test_docker_that_is_restarted_while_it_starts_a_container_delays_the_release(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.restarts_in_run = "api"
    assert deployed(host, release_text(1))["cause"] == ""
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_a_registry_that_stays_away_refuses_the_release(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.registry_away_until = machine.time + 1000
    assert deployed(host, release_text(1))["cause"].endswith("is the registry up and reachable from the host?")


def test_a_full_disk_refuses_the_release(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.disk = 90
    assert deployed(host, release_text(1))["cause"].startswith("The host's disk has 90 MiB free in /var/lib/docker")


def test_short_memory_refuses_the_release(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.memory = 200
    assert deployed(host, release_text(1))["cause"].startswith("The host has 200 MiB of free memory, but the release")


def test_a_host_with_less_memory_than_its_plan_assumes_says_so_when_it_is_short(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.memory, machine.total_memory = 200, 1901
    cause = deployed(host, release_text(1))["cause"]
    assert re.fullmatch(
        r"The host has 200 MiB of free memory, but the release needs \d+ MiB beside what runs: it has 1901 MiB in all, "
        r"less than the 1960 that its plan assumes; look at `make status` for what uses it, or set a larger "
        r"host\.instanceType\.",
        cause,
    )
    machine.total_memory = 1960
    assert "in all" not in deployed(host, release_text(2))["cause"]


def test_refused_signatures_name_the_clock(tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)
    aws.refuses = AwsError("refused with 403 RequestTimeTooSkewed: too skewed", "RequestTimeTooSkewed")
    assert "the host's clock may be wrong" in deployed(host, release_text(1))["cause"]


def test_aws_that_is_away_refuses_after_30_s(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    aws.away = True
    begun = machine.time
    assert "AWS did not answer" in deployed(host, release_text(1))["cause"]
    assert 30 <= machine.time - begun < 40


def test_permissions_that_are_not_in_force_yet_delay_the_release(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    aws.denials = 20
    machine.registry_denies_until = machine.time + 20
    assert deployed(host, release_text(1))["cause"] == ""


def test_permissions_that_are_missing_refuse_the_release_after_30_s(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    aws.denials = 1000
    begun = machine.time
    assert (
        "Taking the role of api failed: AWS refused with 403 AccessDenied" in deployed(host, release_text(1))["cause"]
    )
    assert 30 <= machine.time - begun < 40
    machine.registry_denies_until, begun = machine.time + 1000, machine.time
    machine.pulled.clear()
    assert "look at the host's role (" in deployed(host, release_text(2))["cause"]
    assert 30 <= machine.time - begun < 40


def test_a_queue_that_is_away_does_not_stop_the_release(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    away = Behaviour(ready_status=503, ready_body='{"database": {"ok": true}, "queue": {"ok": false}}')
    for one in machine.containers.values():
        if one.name.endswith("-api"):
            one.behaviour = away
    machine.behaviours[image("api", 2)] = away
    assert deployed(host, release_text(2))["cause"] == ""


def test_a_verdict_holds_no_secret(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.behaviours[image("api", 1)] = Behaviour(ends_after=0.1, log=f"cannot connect to {SECRET}")
    verdict = deployed(host, release_text(1))
    assert verdict["log"] == "cannot connect to ***"
    written = "".join(file.read_text() for file in (tmp_path / "lib").rglob("*") if file.is_file())
    assert SECRET not in written
    assert not any(SECRET in word for command in machine.commands for word in command)


def test_a_verdict_of_a_release_that_was_continued_holds_no_secret(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    machine.behaviours[image("api", 2)] = Behaviour(log=f"cannot connect to {SECRET}")
    commands.submit(host, release_text(2))
    machine.invariant = kill_after_the_turn
    with pytest.raises(Killed):
        commands.resume(host)
    machine.invariant = None
    for one in machine.containers.values():
        if one.image == image("api", 2):
            one.restarts = 1
    machine.behaviours[image("web", 2)] = Behaviour()
    commands.resume(host)
    entry = journal_of(host, release_id(release_text(2))).last("verdict")
    assert entry is not None
    assert entry["verdict"]["log"] == "cannot connect to ***"


def kill_after_the_turn(machine: FakeMachine) -> None:
    (web,) = [one for one in machine.containers.values() if one.image == image("web", 2)] or (None,)
    if web and machine.nat.startswith(web.address):
        raise Killed


def test_a_service_starts_once_those_that_it_waits_for_are_ready_or_have_ended(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path, STATEFUL)
    machine.behaviours[image("postgres", 1)] = Behaviour(ready_after=8.0)
    machine.behaviours[image("migrate", 1)] = Behaviour(ends_after=5.0, exit_code=0)
    machine.behaviours[image("api", 1)] = Behaviour(ready_after=4.0)
    assert deployed(host, release_text(1, services=STATEFUL))["cause"] == ""
    started = {one.name.rpartition("-")[2]: one.started for one in machine.containers.values()}
    # Half of the time that it takes to be ready nothing accepts a connection.
    assert started["api"] >= started["postgres"] + 4 + 5
    assert started["web"] >= started["api"] + 4


STATEFUL = {
    **SERVICES,
    "postgres": service(port=5432, ready=None, user=999, memoryMib=200, stateful=True),
    "migrate": {**SERVICES["migrate"], "after": {"postgres": "healthy"}},
}


def test_only_one_of_a_service_without_http_runs_at_a_time(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path, STATEFUL)

    def one_database(machine: FakeMachine) -> None:
        running = [one for one in machine.containers.values() if "-postgres" in one.name and machine.runs(one)]
        assert len(running) <= 1

    machine.invariant = one_database
    deployed(host, release_text(1, services=STATEFUL))
    first = next(name for name in machine.containers if name.endswith("-postgres"))
    assert machine.containers[first].options["--network-alias"] == "postgres"
    assert deployed(host, release_text(1, services=STATEFUL, api=2))["cause"] == ""
    assert first in machine.containers, "an unchanged database keeps running"
    machine.behaviours[image("web", 3)] = Behaviour(ends_after=0.1)
    assert deployed(host, release_text(3, services=STATEFUL))["cause"]
    assert machine.runs(machine.containers[first]), "after a failure the old database runs again"
    machine.behaviours[image("web", 4)] = Behaviour(breaks_after_turn=True)
    assert deployed(host, release_text(4, services=STATEFUL))["cause"]
    assert machine.runs(machine.containers[first])
    assert deployed(host, release_text(5, services=STATEFUL))["cause"] == ""
    assert first not in machine.containers


def moments(tmp_path: Path, bad: bool) -> int:
    """Return how many moments a second release has at which it can be killed."""
    host, machine, _ = make(tmp_path / "count")
    deployed(host, release_text(1))
    if bad:
        machine.behaviours[image("web", 2)] = Behaviour(breaks_after_turn=True)
    before = machine.moments
    deployed(host, release_text(2))
    return machine.moments - before


@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
@pytest.mark.parametrize("reboots", [False, True], ids=["killed", "rebooted"])
def test_a_killed_release_leaves_one_whole_release_at_every_moment(reboots: bool, bad: bool, tmp_path: Path) -> None:
    texts = [release_text(1), release_text(2)]
    outcomes = set()
    for moment in range(1, moments(tmp_path, bad) + 1, 2 if reboots else 1):
        host, machine, aws = make(tmp_path / str(moment))
        deployed(host, texts[0])
        if bad:
            machine.behaviours[image("web", 2)] = Behaviour(breaks_after_turn=True)
        machine.invariant = None if reboots else assert_something_serves
        machine.kill_at = machine.moments + moment
        try:
            deployed(host, texts[1])
        except Killed:
            machine.unit_active = False
            if reboots:
                machine.reboot()
                aws.away = True
            commands.resume(host)
            if reboots:
                current = host.store.current()
                assert current is not None
                boot.boot(host)
        assert_one_whole_release_serves(host, machine, texts)
        current = host.store.current()
        assert current is not None
        outcomes.add(texts.index(current.release.text))
        if moment % 5 == 0:
            # The next release goes through, whatever happened to this one.
            aws.away = False
            machine.invariant = None
            machine.unit_active = False
            assert deployed(host, release_text(3))["cause"] == ""
    assert outcomes == ({0} if bad else {0, 1})


@pytest.mark.parametrize("first", range(1, 120, 7))
def test_a_release_that_is_killed_again_and_again_still_ends(first: int, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    machine.invariant = assert_something_serves
    commands.submit(host, release_text(2))
    for gap in (first, 9, 3, 14, 5, 2, 30, 8):
        machine.kill_at = machine.moments + gap
        try:
            commands.resume(host)
        except Killed:
            continue
        break
    machine.kill_at = None
    commands.resume(host)
    assert_one_whole_release_serves(host, machine, [release_text(1), release_text(2)])
