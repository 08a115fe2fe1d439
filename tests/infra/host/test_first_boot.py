"""The first boot: Docker is installed while the SSM agent already takes releases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.host import boot, cli, commands
from infra.host.release import release_id
from tests.infra.host.fake import PROGRAM, make, release_text
from tests.infra.host.test_deploy import assert_one_whole_release_serves, deployed, journal_of


@pytest.mark.parametrize("missing", ["docker", "iptables"])
def test_a_release_waits_until_docker_is_installed(missing: str, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    begun = machine.time
    machine.installed_at[missing] = begun + 100
    verdict = deployed(host, release_text(1))
    assert verdict["cause"] == ""
    lines = journal_of(host, host.store.kept()[0].release.id).lines
    waits = [line for line in lines if line.startswith(f"waiting for Docker: {missing} is not installed")]
    assert len(waits) == 6
    assert waits[0].endswith((" ... 15 s", " ... 16 s"))


def test_a_release_waits_until_docker_is_started(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.docker_away_until = machine.time + 100
    assert deployed(host, release_text(1))["cause"] == ""


def test_a_host_without_docker_refuses_the_release_after_its_limit(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    begun = machine.time
    machine.installed_at["docker"] = begun + 10_000
    verdict = deployed(host, release_text(1))
    assert verdict["step"] == "check"
    assert verdict["cause"].startswith("Docker was not ready within 300 s (docker is not installed): look at")
    assert 300 <= machine.time - begun < 320
    assert host.store.open_release() is None
    machine.installed_at.clear()
    assert deployed(host, release_text(2))["cause"] == ""


def test_the_parameter_of_the_release_before_does_not_undo_one_that_came_during_the_boot(tmp_path: Path) -> None:
    host, machine, aws = make(tmp_path)
    aws.release = release_text(1)
    # `up` hands release 2 over while the host boots, and writes the parameter after it.
    commands.submit(host, release_text(2))

    def resume(command: list[str]) -> None:
        if command[-1] == "resume" and command[0] != "systemd-run":
            commands.resume(host)
            machine.unit_active = False

    machine.other_program = resume
    boot.boot(host)
    assert_one_whole_release_serves(host, machine, [release_text(2)])
    assert not machine.unit_active


def test_a_release_that_ends_while_the_boot_waits_for_the_lock_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, machine, aws = make(tmp_path)
    aws.release = release_text(1)
    monkeypatch.setattr(boot, "_finish_open_release", lambda host: deployed(host, release_text(2)))
    boot.boot(host)
    assert_one_whole_release_serves(host, machine, [release_text(2)])


def test_a_boot_that_meets_a_release_on_its_way_is_tried_again(tmp_path: Path) -> None:
    host, _, aws = make(tmp_path)
    aws.release = release_text(1)
    aws.meanwhile = lambda: commands.submit(host, release_text(2))
    assert cli.run(host, ["boot"])[0] == 1


def test_a_release_is_carried_out_by_the_program_that_accepted_it(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    commands.submit(host, release_text(1))
    machine.unit_active = False
    other = replace(host, program=str(tmp_path / f"{'f' * 16}.pyz"))
    assert commands.submit(other, release_text(2).replace(PROGRAM, "f" * 16))["state"] == "busy"
    started = [command[-2:] for command in machine.commands if command[0] == "systemd-run"]
    assert started == [[host.program, "resume"]] * 2
    commands.resume(other)
    assert host.store.open_release() == release_id(release_text(1))
