"""Dumps of the data: each night, by hand, and back."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.host import backups, cli, commands, metrics, units
from infra.host.graph import Backups
from infra.host.host import Host
from infra.host.outcome import HostError
from tests.infra.host.fake import DATA, NVME, Behaviour, FakeMachine, make, release_text
from tests.infra.host.test_data import WITH_DATA
from tests.infra.host.test_deploy import deployed

POSTGRES = {**WITH_DATA["postgres"], "dump": ["pg_dump"], "restore": ["pg_restore", "--clean"]}
SERVICES: dict[str, Any] = {**WITH_DATA, "postgres": POSTGRES}
FOLDER = f"{DATA}/.backups"
HOUR, DAY = 3600, 86_400


def serving(folder: Path) -> tuple[Host, FakeMachine]:
    """Return a host that serves and has a database with a backup."""
    host, machine, _ = make(folder, SERVICES)
    machine.disks = {NVME: ""}
    assert deployed(host, release_text(1, services=SERVICES))["cause"] == ""
    machine.commands.clear()
    machine.content = "first"
    return host, machine


def last(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = backups.backups(host, "")["last"]
    return found


def asked(host: Host, command: str, **argument: Any) -> dict[str, Any]:
    """Send a public command as RunCommand does."""
    _, answer = cli.run(host, [command, base64.b64encode(json.dumps(argument).encode()).decode()])
    assert answer is not None
    return answer


def work(host: Host, machine: FakeMachine) -> int:
    """Run the program of the unit that was started by hand, and return its exit code."""
    (started,) = [command for command in machine.commands if command[0] == "systemd-run"]
    machine.commands.clear()
    code, _ = cli.run(host, started[-1:])
    machine.backup_unit = False
    return code


def test_a_dump_is_written_whole_under_its_time(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    machine.time = 1_800_000_000.0
    backups.dump(host)
    assert machine.files == {f"{FOLDER}/20270115T080000Z/postgres": "first"}
    programs = [command[0] for command in machine.commands if command[0] in ("bash", "mv", "sync")]
    assert programs == ["bash", "mv", "sync"]
    (saved,) = [command for command in machine.commands if command[0] == "bash"]
    assert saved[3] == f"{FOLDER}/partial/postgres"
    assert saved[-1] == "pg_dump"
    assert last(host)["error"] == ""


def test_a_restored_dump_has_the_data_of_its_time_and_restarts_nothing(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    assert asked(host, "backup")["state"] == "started"
    assert backups.backups(host, "")["underWay"]
    assert work(host, machine) == 0
    (name,) = backups.backups(host, "")["dumps"]
    machine.content = "second"
    answer = asked(host, "restore")
    assert answer["dump"] == name
    assert work(host, machine) == 0
    assert machine.content == "first"
    assert {command[1] for command in machine.commands if command[0] == "docker"} <= {"exec"}
    assert last(host) == {"work": "restore", "dump": name, "at": last(host)["at"], "error": ""}
    assert last(host)["at"] >= answer["at"]


def test_a_dump_is_chosen_by_name_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    assert asked(host, "restore") == {"error": "The host has no dump ; it has none."}
    backups.dump(host)
    (old,) = backups.dumps(host)
    machine.content = "second"
    machine.time += DAY
    backups.dump(host)
    assert f"The host has no dump ../postgres; it has {old}," in asked(host, "restore", dump="../postgres")["error"]
    machine.commands.clear()
    asked(host, "restore", dump=old)
    work(host, machine)
    assert machine.content == "first"


def test_only_the_newest_dumps_are_kept(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    for day in range(5):
        machine.content = f"day {day}"
        backups.dump(host)
        machine.time += DAY
    assert [text for _, text in sorted(machine.files.items())] == ["day 2", "day 3", "day 4"]


@pytest.mark.parametrize(
    ("breaks", "cause"),
    [
        ({"full": True}, "Dumping postgres failed: dd: error writing .*: No space left on device"),
        ({"behaviour": "pg_dump"}, "Dumping postgres failed: pg_dump: no attempt"),
        ({"mounted": None}, "The data volume is not mounted"),
    ],
)
def test_a_dump_that_fails_leaves_the_older_ones_and_says_why(
    breaks: dict[str, Any], cause: str, tmp_path: Path
) -> None:
    host, machine = serving(tmp_path)
    backups.dump(host)
    before = dict(machine.files)
    machine.time += DAY
    if "behaviour" in breaks:
        for one in machine.containers.values():
            one.behaviour = replace(one.behaviour, failing=breaks["behaviour"])
    for name in breaks.keys() - {"behaviour"}:
        setattr(machine, name, breaks[name])
    with pytest.raises(HostError, match=cause):
        backups.dump(host)
    assert machine.files == before
    assert last(host)["error"]


def test_a_dump_that_was_killed_is_no_dump_and_the_next_one_removes_it(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    machine.files[f"{FOLDER}/partial/postgres"] = "half"
    assert backups.dumps(host) == {}
    backups.dump(host)
    assert [path.split("/")[-2] for path in machine.files] == list(backups.dumps(host))


def test_a_release_that_is_under_way_comes_first(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    backups.dump(host)
    commands.submit(host, release_text(2, services=SERVICES, postgres=1))
    machine.commands.clear()
    before = dict(machine.files)
    for command in ("backup", "restore"):
        assert asked(host, command) == {"error": "A release is under way: try again after it."}
    assert cli.run(host, ["dump"]) == (1, None)
    assert machine.files == before
    commands.resume(host)
    assert cli.run(host, ["dump"]) == (0, None)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    host, _ = serving(tmp_path)
    asked(host, "backup")
    assert "A backup or restore is under way" in asked(host, "backup")["error"]


def test_a_restore_that_fails_says_why(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    backups.dump(host)
    machine.content = "second"
    machine.commands.clear()
    asked(host, "restore")
    for one in machine.containers.values():
        one.behaviour = Behaviour(failing="pg_restore")
    assert work(host, machine) == 1
    assert last(host)["error"] == "Restoring postgres failed: pg_restore: no attempt."
    assert machine.content == "second"


def test_a_host_without_such_a_service_has_neither_timer_nor_backup(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    deployed(host, release_text(1))
    assert not list(host.store.units.glob("slipway-backup.*"))
    assert "No service of the host has a backup" in asked(host, "backup")["error"]
    assert "BackupAgeHours" not in {datum.name for datum in metrics.measure(host, 0, 1)}


def test_the_timer_has_the_hour_of_the_settings(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    timer = host.store.units / "slipway-backup.timer"
    assert "OnCalendar=*-*-* 02:00:00 UTC" in timer.read_text()
    assert f"{host.store.program} dump" in (host.store.units / "slipway-backup.service").read_text()
    units.install(replace(host, graph=replace(host.graph, backups=Backups(23, 3))))
    assert "OnCalendar=*-*-* 23:00:00 UTC" in timer.read_text()
    assert machine.commands[-1] == ["systemctl", "restart", "slipway-backup.timer"]


def test_the_age_is_that_of_the_newest_dump_and_of_the_timer_without_one(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    made = (host.store.units / "slipway-backup.timer").stat().st_mtime
    machine.time = made + 31 * HOUR
    assert backups.age_hours(host) == pytest.approx(31)
    backups.dump(host)
    machine.time += 2 * HOUR
    assert backups.age_hours(host) == pytest.approx(2, abs=0.01)
