"""Warm bridges: who shares one, who does not, and that none is left. The bridge here is a script that prints a port."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.plugins.bridges import SLOTS, Bridge, end_abandoned, key, stop_bridges, take
from devcloud.util.processes import alive

pytestmark = pytest.mark.services

ENGINE = "127.0.0.1:1"


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    file = tmp_path / "bridge"
    file.write_text("#!/bin/sh\necho 4711\nexec sleep 60\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "bridges"
    stop_bridges(tmp_path / "bridges")


def _pid(bridge: Bridge) -> int:
    return bridge._record.pid


def _configured(bridge: Bridge, settings: str) -> Bridge:
    bridge.configured(settings)
    bridge.remember("configure", b"yes")
    return bridge


def test_a_later_run_takes_over_a_warm_bridge_with_what_it_said(binary: Path, folder: Path) -> None:
    first = _configured(take(binary, "key", "", folder, ENGINE), "settings")
    first.release(in_good_order=True)
    second = take(binary, "key", "settings", folder, ENGINE)
    assert (_pid(second), second.port, second.fresh) == (_pid(first), 4711, False)
    assert second.recall("configure") == b"yes"


def test_runs_side_by_side_share_nothing(binary: Path, folder: Path) -> None:
    first, second = take(binary, "key", "", folder, ENGINE), take(binary, "key", "", folder, ENGINE)
    assert _pid(first) != _pid(second)


def test_other_settings_get_another_bridge(binary: Path, folder: Path) -> None:
    first = _configured(take(binary, "key", "one", folder, ENGINE), "one")
    first.release(in_good_order=True)
    assert _pid(take(binary, "key", "two", folder, ENGINE)) != _pid(first)
    assert _pid(take(binary, "key", "one", folder, ENGINE)) == _pid(first)


def test_another_environment_gets_another_bridge(binary: Path, folder: Path) -> None:
    first = take(binary, "key", "", folder, ENGINE)
    first.release(in_good_order=True)
    assert _pid(take(binary, "other", "", folder, ENGINE)) != _pid(first)


def test_a_run_that_ended_midway_leaves_no_bridge(binary: Path, folder: Path) -> None:
    bridge = take(binary, "key", "", folder, ENGINE)
    bridge.release(in_good_order=False)
    assert not alive(_pid(bridge))


def test_the_bridge_of_a_run_that_was_killed_is_not_used_again(binary: Path, folder: Path) -> None:
    bridge = take(binary, "key", "", folder, ENGINE)
    bridge._slot.unlock()  # type: ignore[union-attr]  what the kernel does when its user is killed
    other = take(binary, "key", "", folder, ENGINE)
    assert _pid(other) != _pid(bridge)
    assert not alive(_pid(bridge))


def test_a_bridge_that_died_is_replaced(binary: Path, folder: Path) -> None:
    bridge = take(binary, "key", "", folder, ENGINE)
    bridge.release(in_good_order=True)
    os.kill(_pid(bridge), signal.SIGKILL)
    while alive(_pid(bridge)):
        time.sleep(0.01)
    assert take(binary, "key", "", folder, ENGINE).fresh


def test_no_more_are_kept_than_there_are_slots(binary: Path, folder: Path) -> None:
    running = [take(binary, "key", "", folder, ENGINE) for _ in range(SLOTS + 1)]
    for bridge in running:
        bridge.release(in_good_order=True)
    assert sum(alive(_pid(bridge)) for bridge in running) == SLOTS
    assert stop_bridges(folder) == SLOTS
    assert not any(alive(_pid(bridge)) for bridge in running)


def test_without_a_folder_a_bridge_ends_with_its_run(binary: Path) -> None:
    bridge = take(binary, "key", "", None, ENGINE)
    bridge.release(in_good_order=True)
    assert not alive(_pid(bridge))


def test_a_process_that_only_has_the_same_number_is_left_alone(binary: Path, folder: Path) -> None:
    bridge = take(binary, "key", "", folder, ENGINE)
    bridge.release(in_good_order=True)
    record = folder / "0.json"
    stored = json.loads(record.read_text())
    record.write_text(json.dumps({**stored, "started": "1"}))
    assert stop_bridges(folder) == 0
    assert alive(_pid(bridge))
    bridge._record.end()


def test_a_record_with_a_field_that_we_do_not_know_is_still_found(binary: Path, folder: Path) -> None:
    bridge = take(binary, "key", "", folder, ENGINE)
    bridge.release(in_good_order=True)
    record = folder / "0.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "of_another_version": True}))
    assert stop_bridges(folder) == 1
    assert not alive(_pid(bridge))


def test_a_record_is_for_its_owner_alone(binary: Path, folder: Path) -> None:
    take(binary, "key", "", folder, ENGINE).release(in_good_order=True)
    assert (folder / "0.json").stat().st_mode & 0o777 == 0o600


def test_a_bridge_that_does_not_start_says_why(tmp_path: Path, folder: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such provider >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(RuntimeError, match="no such provider"):
        take(broken, "key", "", folder, ENGINE)


def test_the_key_follows_what_a_provider_reads_and_nothing_else(tmp_path: Path) -> None:
    binary = tmp_path / "provider"
    binary.write_text("one")
    base = key({"AWS_REGION": "a", "PWD": "/x"}, binary)
    assert key({"AWS_REGION": "a", "PWD": "/y"}, binary) == base
    assert key({"AWS_REGION": "b", "PWD": "/x"}, binary) != base
    binary.write_text("another")
    assert key({"AWS_REGION": "a", "PWD": "/x"}, binary) != base


def test_a_bridge_that_a_killed_run_left_at_work_is_ended_and_an_idle_one_is_not(binary: Path, folder: Path) -> None:
    idle, killed = take(binary, "key", "", folder, ENGINE), take(binary, "key", "", folder, ENGINE)
    idle.release(in_good_order=True)
    assert killed._slot is not None
    killed._slot.unlock()  # as the kernel does when its user dies
    assert end_abandoned(folder) == 1
    assert not alive(_pid(killed))
    assert alive(_pid(idle))


def test_a_bridge_that_is_in_use_is_not_abandoned(binary: Path, folder: Path) -> None:
    used = take(binary, "key", "", folder, ENGINE)
    assert end_abandoned(folder) == 0
    assert alive(_pid(used))
