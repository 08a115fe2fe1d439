"""Security updates in the weekly window."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.host import boot, cli, commands, units
from infra.host.graph import Backups, Updates
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.updates import update
from tests.infra.host.fake import FakeMachine, make, release_text
from tests.infra.host.test_deploy import assert_one_whole_release_serves, deployed


def serving(folder: Path, *packages: str) -> tuple[Host, FakeMachine]:
    """Return a host that serves and has updates of these packages."""
    host, machine, _ = make(folder)
    deployed(host, release_text(1))
    machine.updates = list(packages)
    machine.commands.clear()
    return host, machine


def calendars(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("OnCalendar=")]


SECURITY = ["--security", "--releasever=latest"]
ENGINE = ["docker", "containerd", "runc"]
OTHERS = ["dnf", "upgrade", "--assumeyes", *SECURITY, "--exclude=docker,containerd,runc"]


def test_updates_that_need_no_restart_touch_no_container(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "openssl")
    update(host)
    assert machine.commands == [
        OTHERS,
        ["dnf", "check-update", *SECURITY, *ENGINE],
        ["grubby", "--default-kernel"],
        ["uname", "--kernel-release"],
        ["dnf", "needs-restarting", "--reboothint"],
    ]
    assert not machine.rebooting


@pytest.mark.parametrize("package", ["kernel6.18", "kernel", "glibc"])
def test_a_kernel_or_library_is_used_after_one_restart(package: str, tmp_path: Path) -> None:
    host, machine = serving(tmp_path, package)
    update(host)
    assert machine.rebooting
    machine.reboot()
    boot.boot(host)
    update(host)
    assert not machine.rebooting


def test_a_kernel_without_an_initramfs_gets_one_before_the_restart(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.initramfs = False
    update(host)
    file, kernel = f"/boot/initramfs-{machine.default_kernel}.img", machine.default_kernel
    assert machine.commands.index(["dracut", "--force", file, kernel]) < machine.commands.index(["systemctl", "reboot"])


def test_a_host_whose_next_kernel_has_no_initramfs_is_not_restarted(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.initramfs, machine.fails["dracut"] = False, "dracut: no space left on device"
    with pytest.raises(HostError, match=r"^Making /boot/initramfs-\S+\.img failed: dracut: no space left on device"):
        update(host)
    assert not machine.rebooting


def test_a_kernel_that_nobody_knows_restarts_nothing(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.fails["grubby"] = "grubby: no boot entries found"
    with pytest.raises(
        HostError, match=r"^Asking for the kernel of the next boot failed: grubby: no boot entries found"
    ):
        update(host)
    assert not machine.rebooting


def test_docker_is_updated_right_before_a_restart_and_after_the_edge_has_answered(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "openssl", "containerd")
    update(host)
    assert machine.commands[0] == OTHERS
    download, stop, engine, restart = machine.commands[-4:]
    assert download == ["dnf", "upgrade", "--assumeyes", *SECURITY, "--downloadonly", *ENGINE]
    assert stop[:2] == ["docker", "stop"]
    assert engine == ["dnf", "upgrade", "--assumeyes", *SECURITY, "--cacheonly", *ENGINE]
    assert restart == ["systemctl", "reboot"]
    assert machine.updates == []


def test_docker_is_not_updated_while_a_release_came(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "docker")
    machine.during_upgrade = lambda: commands.submit(host, release_text(2))
    with pytest.raises(HostError, match="the restart waits for its end"):
        update(host)
    assert machine.updates == ["docker"]


@pytest.mark.parametrize("step", ["--downloadonly", "--cacheonly"])
def test_a_docker_that_cannot_be_updated_leaves_the_edge_running(step: str, tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "docker")
    machine.fails[" ".join(["dnf", "upgrade", "--assumeyes", *SECURITY, step])] = "Error: Failed to download packages"
    with pytest.raises(HostError, match=r"Docker.* failed: Error: Failed to download packages"):
        update(host)
    assert not machine.rebooting
    assert any(command[:2] == ["docker", "stop"] for command in machine.commands) == (step == "--cacheonly")
    machine.sleep(1)
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_under_memory_pressure_the_update_ends_and_not_the_product() -> None:
    text = units.update_texts("python3", "/p", Updates("Sun", 3))["slipway-update.service"]
    assert "\nOOMScoreAdjust=1000\n" in text
    # If dnf is killed, the program starts the edge again.
    assert "\nOOMPolicy=continue\n" in text


def test_before_a_restart_the_edge_answers_what_it_has_and_after_it_the_release_serves(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    update(host)
    assert [command[:2] for command in machine.commands[-2:]] == [["docker", "stop"], ["systemctl", "reboot"]]
    assert machine.rebooting
    machine.reboot()
    boot.boot(host)
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_a_release_that_is_under_way_is_not_disturbed(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    commands.submit(host, release_text(2))
    machine.commands.clear()
    assert cli.run(host, ["update"]) == (1, None)
    assert machine.commands == []
    commands.resume(host)
    assert cli.run(host, ["update"]) == (0, None)
    assert machine.rebooting


def test_what_holds_the_lock_is_not_disturbed(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    with host.store.lock(wait=True), pytest.raises(HostError, match="A release is under way"):
        update(host)
    assert machine.commands == []


def test_a_release_that_came_during_the_updates_comes_before_the_restart(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.during_upgrade = lambda: commands.submit(host, release_text(2))
    with pytest.raises(HostError, match="the restart waits for its end"):
        update(host)
    assert not machine.rebooting
    machine.during_upgrade = None
    commands.resume(host)
    update(host)
    assert machine.rebooting


def test_a_dnf_that_fails_is_a_sentence_and_restarts_nothing(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.fails["dnf upgrade"] = "Error: Failed to download metadata for repo 'amazonlinux'"
    with pytest.raises(HostError, match="Installing security updates failed: Error: Failed to download metadata"):
        update(host)
    assert not machine.rebooting


@pytest.mark.parametrize("command", ["needs-restarting", "check-update"])
def test_an_answer_that_is_no_answer_restarts_nothing(command: str, tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    machine.fails[f"dnf {command}"] = f"No such command: {command}."
    with pytest.raises(HostError, match=rf"^dnf does not say .* No such command: {command}\."):
        update(host)
    assert not machine.rebooting


def test_a_restart_that_fails_leaves_the_edge_running(tmp_path: Path) -> None:
    host, machine = serving(tmp_path, "kernel6.18")
    machine.restarts_fail = True
    with pytest.raises(HostError, match="Restarting the host failed"):
        update(host)
    machine.sleep(1)
    assert_one_whole_release_serves(host, machine, [release_text(1)])


def test_the_timer_has_the_window_of_the_settings_and_follows_it(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    timer = host.store.units / "slipway-update.timer"
    assert calendars(timer.read_text()) == ["OnCalendar=Sun *-*-* 03:00:00 UTC"]
    assert f"{host.store.program} update" in (host.store.units / "slipway-update.service").read_text()
    moved = replace(host, graph=replace(host.graph, updates=Updates("Wed", 14)))
    units.install(moved)
    assert calendars(timer.read_text()) == ["OnCalendar=Wed *-*-* 14:00:00 UTC"]
    assert machine.commands[-1] == ["systemctl", "restart", "slipway-update.timer"]
    machine.commands.clear()
    units.install(moved)
    assert machine.commands == []


def test_updates_can_be_turned_off_and_on(tmp_path: Path) -> None:
    host, machine = serving(tmp_path)
    off = replace(host, graph=replace(host.graph, updates=None))
    units.install(off)
    assert machine.commands == [
        ["systemctl", "disable", "--now", "slipway-update.timer"],
        ["systemctl", "daemon-reload"],
    ]
    assert not list(host.store.units.glob("slipway-update.*"))
    machine.commands.clear()
    units.install(off)
    assert machine.commands == []
    units.install(host)
    assert (host.store.units / "slipway-update.timer").is_file()


def test_a_lasting_failure_is_tried_for_two_hours_and_then_no_more_on_that_day() -> None:
    # systemd counts from the first try: with a shorter time the thirteenth one would begin a new count, for ever.
    for texts in (
        units.update_texts("python3", "/p", Updates("Sun", 3)),
        units.backup_texts("python3", "/p", Backups(2, 7)),
    ):
        text = "".join(texts.values())
        interval, burst, pause = (
            int(re.findall(rf"{key}=(\d+)", text)[0])
            for key in ("StartLimitIntervalSec", "StartLimitBurst", "RestartSec")
        )
        assert burst * pause < interval / 2
        assert interval < 24 * 3600
