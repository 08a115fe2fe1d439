"""The commands of the gate and of operators, and the minute timer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.host import boot, cli, commands
from infra.host.outcome import HostError
from infra.host.release import release_id
from tests.infra.host.fake import PROGRAM, REGISTRY, SECRET, Behaviour, FakeAws, digest, image, make, release_text
from tests.infra.host.test_deploy import assert_one_whole_release_serves, deployed


def test_follow_reports_lines_and_then_the_verdict(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    text = release_text(1)
    commands.submit(host, text)
    first = commands.follow(host, json.dumps({"release": release_id(text), "from": 0}))
    assert (first["state"], first["lines"]) == ("running", [])
    commands.resume(host)
    lines, start = [], 0
    for _ in range(5):
        answer = commands.follow(host, json.dumps({"release": release_id(text), "from": start}))
        lines, start = lines + answer["lines"], answer["next"]
        assert len(json.dumps(answer)) < 6000
        if answer["state"] != "running":
            break
    assert answer["state"] == "succeeded"
    assert answer["verdict"]["seconds"]["steady"] >= 6
    assert lines[0] == "check"
    assert any(line.startswith("api: ready after") for line in lines)


def test_an_answer_stays_below_6_kb(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.behaviours[image("api", 1)] = Behaviour(ends_after=0.1, log="\\\U0001f600" * 5000)
    deployed(host, release_text(1))
    journal = host.store.journal(release_id(release_text(1)))
    assert journal is not None
    for _ in range(30):
        journal.add("line", text="\u00e9" * 500)
    asked = {"release": release_id(release_text(1)), "from": len(journal.lines) - 18}
    answer = commands.follow(host, json.dumps(asked))
    assert answer["state"] == "failed"
    assert answer["verdict"]["log"].endswith("\\\U0001f600")
    assert len(json.dumps(answer)) < 6000


def test_a_release_of_another_program_is_refused(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    text = json.dumps(json.loads(release_text(1)) | {"program": "f" * 16, "hostVersion": "3"})
    with pytest.raises(HostError) as caught:
        commands.submit(host, text)
    assert caught.value.cause == (
        "The release needs the host's program ffffffffffffffff, but version 3 of the SSM document slipway-local-host "
        "holds 0123456789abcdef: delete the document (`aws ssm delete-document --name slipway-local-host`) and run "
        "`pulumi up --refresh`, which makes it again."
    )
    assert host.store.open_release() is None


def test_a_boot_serves_though_the_parameter_needs_another_program(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    aws.release = release_text(2).replace(PROGRAM, "f" * 16)
    machine.reboot()
    assert cli.run(host, ["boot"])[0] == 0
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_follow_of_an_unknown_release(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    assert commands.follow(host, '{"release": "0123456789ab", "from": 0}')["state"] == "unknown"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"release": "../releases/0123456789ab", "from": 0}, '"../releases/0123456789ab" is no release: its id has 12'),
        ({"release": 7, "from": 0}, '"7" is no release'),
        ({"release": "0123456789ab", "from": "x"}, 'from is "x": it must be a whole number from 0 on'),
        ({"release": "0123456789ab", "from": -1}, "from is -1"),
    ],
)
def test_follow_refuses_what_is_no_release(asked: dict[str, object], problem: str, tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    (tmp_path / "lib" / "releases" / "0123456789ab.jsonl").write_text('{"kind": "line", "text": "hidden"}\n')
    with pytest.raises(HostError, match=re.escape(problem)):
        commands.follow(host, json.dumps(asked))


@pytest.mark.parametrize(
    "found", ["evil.example/api", f"{REGISTRY}/slipway-local/dashboard", f"{REGISTRY}/slipway-local/api-2"]
)
def test_an_image_from_elsewhere_is_refused(found: str, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    text = release_text(1).replace(image("api", 1), f"{found}@{digest(1)}")
    with pytest.raises(HostError) as caught:
        commands.submit(host, text)
    assert caught.value.cause == (
        f"The release names {found}@{digest(1)} for api, whose images come from {REGISTRY}/slipway-local/api: "
        "run `pulumi up`, which names those."
    )
    assert host.store.open_release() is None
    assert machine.commands == []


def test_an_image_from_outside_is_taken_by_its_whole_reference_alone(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    outside = replace(host.graph.services["api"], image=image("api", 1))
    host = replace(host, graph=replace(host.graph, services={**host.graph.services, "api": outside}))
    assert deployed(host, release_text(1))["cause"] == ""
    with pytest.raises(HostError, match="whose images come from"):
        commands.submit(host, release_text(2))


def test_a_log_holds_no_secret(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.behaviours[image("api", 1)] = Behaviour(log=f"cannot connect to {SECRET}")
    deployed(host, release_text(1))
    assert commands.logs(host, '{"service": "api"}')["log"] == "cannot connect to ***"


def test_verify_tells_the_release_that_serves_from_another(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    assert commands.verify(host, release_text(1))["state"] == "down"
    deployed(host, release_text(1))
    answer = commands.verify(host, release_text(1))
    assert answer == {
        "state": "serving",
        "serves": dict.fromkeys(("api", "dashboard", "web"), digest(1)),
        "release": release_id(release_text(1)),
        "problem": None,
        "certificate": None,
    }
    other = commands.verify(host, release_text(1, api=2))
    assert other["state"] == "other"
    assert "api: GET /api/health at 10.20.0.10:80 is served by another image" in other["problem"]
    assert commands.verify(host, release_text(1, migrate=2))["state"] == "other"
    machine.jumps.clear()
    assert commands.verify(host, release_text(1))["state"] == "down"


def test_status_logs_and_restart(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    assert commands.status(host)["release"] is None
    begun = machine.time
    deployed(host, release_text(1))
    status = commands.status(host)
    assert status["since"] >= begun + host.graph.seconds.steady + host.graph.seconds.watch
    api = status["services"]["api"]
    assert (api["running"], api["restarts"], api["memory"], api["memoryMib"]) == (True, 0, "140.2MiB", 100)
    assert api["digest"] == digest(1)[:19]
    assert (status["underWay"], status["step"]) == (None, None)
    assert status["kept"] == [status["release"]]
    log = commands.logs(host, '{"service": "api", "lines": 5}')
    assert log["log"] == "the end of the log"
    begun = machine.time
    assert commands.restart(host, '{"service": "api"}')["state"] == "restarted"
    assert machine.containers[log["container"]].started > begun
    with pytest.raises(HostError, match="There is no service cache on the host; there are api, dashboard, web"):
        commands.logs(host, '{"service": "cache"}')


def test_a_long_log_is_cut_at_its_beginning_to_what_run_command_keeps(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.behaviours[image("api", 1)] = Behaviour(log="".join(f'{{"line": {number}}}\n' for number in range(5000)))
    deployed(host, release_text(1))
    answer = commands.logs(host, '{"service": "api", "lines": 500}')
    assert answer["log"].endswith('{"line": 4999}\n')
    assert 15_000 < len(json.dumps(answer)) < 24_000


def test_status_tells_a_release_that_is_under_way_and_a_container_that_is_down(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    machine.containers[commands.status(host)["services"]["api"]["container"]].stopped = 137
    commands.submit(host, release_text(2))
    status = commands.status(host)
    assert (status["underWay"], status["step"]) == (release_id(release_text(2)), "begin")
    api = status["services"]["api"]
    assert (api["running"], api["memory"]) == (False, None)
    assert len(json.dumps(status)) < 6000


def test_a_restart_ends_within_the_60_s_of_the_document(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    commands.restart(host, '{"service": "api"}')
    (command,) = [command for command in machine.commands if command[:2] == ["docker", "restart"]]
    assert command[2:4] == ["--time", "30"]


def test_boot_serves_without_aws(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    machine.reboot()
    for one in machine.containers.values():
        one.stopped = 0
    aws.away = True
    boot.boot(host)
    assert_one_whole_release_serves(host, machine, [release_text(1)])
    starts = [command[-1].rpartition("-")[2] for command in machine.commands if command[:2] == ["docker", "start"]]
    assert starts == ["api", "dashboard", "web"]


def test_boot_starts_the_release_of_the_parameter(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    boot.boot(host)
    assert not machine.unit_active, "without a parameter it waits"
    aws.release = release_text(1)
    boot.boot(host)
    assert machine.unit_active
    commands.resume(host)
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_boot_without_a_release_and_without_aws_is_tried_again(tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)
    aws.away = True
    assert cli.run(host, ["boot"])[0] == 1


def test_the_timer_renews_credentials_after_20_minutes_and_sets_the_rule_again(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    deployed(host, release_text(1))
    file = host.credentials_folder("api") / "credentials.json"
    machine.time = file.stat().st_mtime + 19 * 60
    assert credentials_taken(aws) == 1
    boot.tend(host)
    assert credentials_taken(aws) == 1
    machine.time += 60
    boot.tend(host)
    assert credentials_taken(aws) == 2
    machine.doors = {}
    boot.tend(host)
    assert_one_whole_release_serves(host, machine, [release_text(1)])
    machine.jumps.remove(("INPUT", "SLIPWAY-GUARD"))
    boot.tend(host)
    assert ("INPUT", "SLIPWAY-GUARD") in machine.jumps


def credentials_taken(aws: FakeAws) -> int:
    return sum(":role/" in what for what in aws.asked)


def test_the_timer_starts_an_open_release_whose_unit_is_gone(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    commands.submit(host, release_text(1))
    machine.unit_active = False
    boot.tend(host)
    assert machine.unit_active


@pytest.mark.parametrize("seconds", [1, 60], ids=["soon", "later"])
def test_a_release_whose_unit_waits_for_its_restart_counts_as_under_way(seconds: int, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    commands.submit(host, release_text(1))
    machine.unit_active, machine.unit_restarts_at = False, machine.time + seconds
    assert commands.submit(host, release_text(1))["state"] == "accepted"


def test_units_are_installed_once_and_start_the_program_in_charge(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    deployed(host, release_text(1))
    unit = (tmp_path / "units" / "slipway-boot.service").read_text()
    assert f"{host.store.program} boot" in unit
    assert host.store.program.resolve() == Path(host.program)
    machine.commands.clear()
    commands.submit(host, release_text(2))
    assert ["systemctl", "daemon-reload"] not in machine.commands


def test_a_bad_command_line_is_one_sentence(tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    code, answer = cli.run(host, ["deploy"])
    assert code == 2
    assert answer is not None
    assert answer["error"].startswith('The host\'s program has no command "deploy"; it has backup, backups, boot, ')
    assert cli.run(host, ["submit", "***"]) == (
        1,
        {"error": "The argument of the command is not base64 of UTF-8."},
    )
    assert cli.run(host, ["submit", "e30="])[0] == 1


@pytest.mark.parametrize("command", ["submit", "follow", "verify", "logs", "restart"])
def test_no_argument_is_an_empty_object_and_gets_a_sentence(command: str, tmp_path: Path) -> None:
    host, _, _ = make(tmp_path)
    code, answer = cli.run(host, [command, ""])
    assert (code, answer) == cli.run(host, [command, "e30="])
    assert code == 1
    assert answer is not None
    assert "JSON object with" in answer["error"]


def test_the_images_of_a_failed_release_go_with_the_next_good_one(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.architectures[image("api", 1)] = "arm64"
    deployed(host, release_text(1))
    deployed(host, release_text(2))
    assert not any(digest(1) in reference for reference in machine.pulled)
