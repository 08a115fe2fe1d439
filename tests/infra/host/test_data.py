"""The data volume: formatted only if blank, mounted before its services start, and never replaced by the root disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.host import boot
from infra.host.host import Host
from tests.infra.host.fake import (
    DATA,
    NVME,
    OWN,
    PUBLIC,
    SERVICES,
    Behaviour,
    FakeMachine,
    image,
    make,
    release_text,
    service,
)
from tests.infra.host.test_deploy import deployed, served

WITH_DATA: dict[str, Any] = {
    **SERVICES,
    "postgres": service(
        port=5432,
        ready=None,
        user=999,
        volume="/var/lib/postgresql/data",
        stateful=True,
        published=True,
        command=["postgres", "-c", "max_connections=60"],
        check=["pg_isready"],
        onStart=["psql", "password"],
        tmpfs=["/var/run/postgresql"],
    ),
    "migrate": {**SERVICES["migrate"], "after": {"postgres": "healthy"}},
}


def host_with(folder: Path, **disks: str | None) -> tuple[Host, FakeMachine]:
    host, machine, _ = make(folder, WITH_DATA)
    machine.disks = {NVME if name == "nvme" else f"/dev/{name}": kind for name, kind in disks.items()}
    return host, machine


def database(machine: FakeMachine) -> str:
    return next(name for name in machine.containers if name.endswith("-postgres"))


def containers(host: Host) -> dict[str, str]:
    current = host.store.current()
    assert current
    return {name: placed.container for name, placed in current.services.items()}


def ran(machine: FakeMachine, program: str) -> list[list[str]]:
    return [command for command in machine.commands if command[0] == program]


def test_a_blank_volume_is_formatted_once_and_holds_the_database(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    assert deployed(host, release_text(1, services=WITH_DATA))["cause"] == ""
    assert machine.mounted == NVME
    mount = machine.containers[database(machine)].options["--mount"]
    assert mount == f"type=bind,source={DATA}/postgres,target=/var/lib/postgresql/data"
    assert machine.containers[database(machine)].command == ["postgres", "-c", "max_connections=60"]
    assert machine.containers[database(machine)].options["--publish"] == "10.20.0.11:5432:5432"
    assert ran(machine, "install")[0][-3:] == ["--owner=999", "--group=999", f"{DATA}/postgres"]
    deployed(host, release_text(2, services=WITH_DATA))
    assert ran(machine, "mkfs.ext4") == [["mkfs.ext4", "-q", "-L", "slipway-data", NVME]]


def test_a_volume_with_data_is_mounted_as_it_is(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, xvdf="ext4")
    assert deployed(host, release_text(1, services=WITH_DATA))["cause"] == ""
    assert (machine.mounted, ran(machine, "mkfs.ext4")) == ("/dev/xvdf", [])


def test_the_serial_number_goes_before_the_place(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, xvdf="ext4", nvme="ext4")
    deployed(host, release_text(1, services=WITH_DATA))
    assert machine.mounted == NVME


@pytest.mark.parametrize(
    ("disks", "cause"),
    [
        ({}, "is not attached"),
        ({"nvme": "xfs"}, "holds xfs and not ext4"),
        ({"nvme": "dos"}, "holds dos and not ext4"),
        ({"nvme": None}, "Reading the data volume failed: wipefs: error: Input/output error"),
    ],
)
def test_a_release_is_refused_and_nothing_is_formatted(
    disks: dict[str, str | None], cause: str, tmp_path: Path
) -> None:
    host, machine = host_with(tmp_path, **disks)
    assert cause in deployed(host, release_text(1, services=WITH_DATA))["cause"]
    assert not machine.containers
    assert ran(machine, "mkfs.ext4") == ran(machine, "mount") == []


def test_a_boot_mounts_the_volume_before_the_database_starts(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    machine.reboot()
    assert not machine.runs(machine.containers[database(machine)])
    boot.boot(host)
    assert machine.mounted == NVME
    assert machine.runs(machine.containers[database(machine)])
    assert set(served(host)) == {"api", "dashboard", "web"}


def test_a_boot_without_the_volume_starts_no_database_and_serves_the_rest(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    machine.reboot()
    machine.disks = {}
    boot.boot(host)
    assert machine.mounted is None
    assert not machine.runs(machine.containers[database(machine)])
    # The edge and the services answer, and say themselves that the database is away.
    assert machine.get(OWN, PUBLIC, "/api/health", 5).status == 200


def test_a_running_database_stays_if_the_release_of_another_lacks_the_volume(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    first = database(machine)
    machine.mounted, machine.disks = None, {}
    assert "is not attached" in deployed(host, release_text(1, services=WITH_DATA, postgres=2))["cause"]
    assert machine.containers[first].image == image("postgres", 1)
    assert machine.runs(machine.containers[first])
    assert ["docker", "stop"] not in [command[:2] for command in machine.commands if first in command]


def test_a_file_system_that_cannot_grow_does_not_keep_the_database_from_starting(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="ext4")
    machine.grows = False
    assert deployed(host, release_text(1, services=WITH_DATA))["cause"] == ""
    assert ran(machine, "resize2fs") == [["resize2fs", NVME]]
    assert machine.runs(machine.containers[database(machine)])


def test_a_database_is_asked_by_its_check_and_then_told_the_password_of_today(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    machine.behaviours[image("postgres", 1)] = Behaviour(ready_after=3)
    assert deployed(host, release_text(1, services=WITH_DATA))["cause"] == ""
    executed = machine.containers[database(machine)].executed
    assert executed[0] == ["pg_isready"]
    assert executed.count(["psql", "password"]) == 1
    assert executed.index(["psql", "password"]) == executed.count(["pg_isready"]) - executed[::-1].index(
        ["psql", "password"]
    )


def test_a_database_that_never_answers_its_check_fails_the_release_with_the_reason(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    machine.behaviours[image("postgres", 1)] = Behaviour(failing="pg_isready")
    verdict = deployed(host, release_text(1, services=WITH_DATA))
    assert (
        verdict["cause"]
        == "postgres was not ready within 45 s: its check `pg_isready` failed (pg_isready: no attempt)."
    )
    assert (verdict["service"], verdict["log"]) == ("postgres", "the end of the log")


def test_a_new_password_restarts_the_database_alone_and_reaches_its_role(tmp_path: Path) -> None:
    services = {**WITH_DATA, "postgres": {**WITH_DATA["postgres"], "secrets": {"PASSWORD": "password"}}}
    host, machine, aws = make(tmp_path, services)
    machine.disks = {NVME: ""}

    def release(version: int) -> str:
        text = json.loads(release_text(1, services=services))
        return json.dumps({**text, "secrets": {"database-url": 1, "password": version}})

    deployed(host, release(1))
    before = containers(host)
    aws.value = "another-password"
    assert deployed(host, release(2))["cause"] == ""
    # The edge is always new.
    assert {name for name, container in containers(host).items() if container != before[name]} == {"postgres", "web"}
    one = machine.containers[database(machine)]
    assert one.environment["PASSWORD"] == "another-password"
    assert ["psql", "password"] in one.executed


def test_after_a_refused_release_the_old_database_has_its_own_password_again(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    old = machine.containers[database(machine)]
    told = old.executed.count(["psql", "password"])
    machine.behaviours[image("web", 2)] = Behaviour(ends_after=0.1)
    assert deployed(host, release_text(2, services=WITH_DATA))["cause"]
    assert machine.runs(old)
    assert old.executed.count(["psql", "password"]) == told + 1


def test_a_folder_whose_first_start_was_interrupted_is_made_again_and_any_other_is_kept(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    machine.behaviours[image("postgres", 1)] = Behaviour(ends_after=0.1)
    deployed(host, release_text(1, services=WITH_DATA))
    for number in (2, 3):
        assert deployed(host, release_text(number, services=WITH_DATA))["cause"] == ""
    removed = [command for command in ran(machine, "rm") if command[1] == "-rf"]
    assert removed == [["rm", "-rf", f"{DATA}/postgres"]]


def test_unchanged_databases_run_on_through_twenty_releases(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    first = machine.containers[database(machine)]
    for number in range(2, 22):
        assert deployed(host, release_text(number, services=WITH_DATA, postgres=1))["cause"] == ""
    assert machine.containers[database(machine)] is first
    assert first.started < machine.time - 60


def test_a_boot_without_the_volume_does_not_wait_for_what_needs_it(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    machine.reboot()
    machine.disks = {}
    machine.behaviours[image("api", 1)] = Behaviour(ready_status=503)
    for one in machine.containers.values():
        if one.name.endswith("-api"):
            one.behaviour = Behaviour(ready_status=503)
    begun = machine.time
    boot.boot(host)
    assert machine.time - begun < 45, "only the volume itself was waited for"


def test_a_volume_that_is_back_has_its_database_started_within_a_minute(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, nvme="")
    deployed(host, release_text(1, services=WITH_DATA))
    machine.reboot()
    disks, machine.disks = machine.disks, {}
    boot.boot(host)
    boot.tend(host)
    assert not machine.runs(machine.containers[database(machine)])
    machine.disks = disks
    boot.tend(host)
    assert machine.runs(machine.containers[database(machine)])
