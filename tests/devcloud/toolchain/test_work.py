"""Versions, and commands that can be ended."""

import os
import threading
import time
from pathlib import Path

import pytest

from devcloud.toolchain.work import Work, compatible, executable, version_in, version_of
from devcloud.util.locks import locked, try_lock

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("buildkitd github.com/moby/buildkit v0.31.1 abcdef", (0, 31, 1)),
        ("go1.26.8", (1, 26, 8)),
        ("3.260.0-alpha.1", (3, 260, 0)),
        ("no number here", None),
        ("", None),
    ],
)
def test_the_version_in_what_a_program_says(said: str, version: tuple[int, ...] | None) -> None:
    assert version_in(said) == version


def test_a_program_that_is_not_there_has_no_version() -> None:
    assert version_of(["/nowhere/pulumi", "version"]) is None


@pytest.mark.parametrize(
    ("found", "fits"),
    [((3, 259, 0), True), ((3, 300, 1), True), ((3, 258, 9), False), ((4, 0, 0), False), (None, False)],
)
def test_a_later_version_of_the_same_major_will_do(found: tuple[int, ...] | None, fits: bool) -> None:
    assert compatible(found, "3.259.0") is fits


def test_a_program_of_ours_is_not_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, machine = tmp_path / "cache", tmp_path / "machine"
    for folder in (cache, machine):
        folder.mkdir()
        (folder / "pulumi-xyz").write_text("#!/bin/sh\n")
        (folder / "pulumi-xyz").chmod(0o755)
    (cache / "docker-xyz").symlink_to(machine / "pulumi-xyz")
    monkeypatch.setenv("PATH", f"{cache}{os.pathsep}{machine}")
    assert executable("pulumi-xyz", outside=cache) == machine / "pulumi-xyz"
    assert executable("docker-xyz", outside=cache) is None


def test_a_long_step_says_so_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devcloud.util.console.HEARTBEAT_SECONDS", 0.05)
    lines: list[str] = []
    with Work(lines.append) as work:
        with work.step("building pulumi"):
            time.sleep(0.2)
        said = len(lines)
        time.sleep(0.15)
        assert said == len(lines)
    assert lines[0].startswith("building pulumi ... 0.")


def test_stopping_ends_the_commands_that_run_and_those_to_come() -> None:
    work = Work(lambda _text: None)
    results: list[int] = []
    runner = threading.Thread(target=lambda: results.append(work.run(["sleep", "60"]).returncode))
    runner.start()
    while not work._children:
        time.sleep(0.01)
    work.stop()
    runner.join(timeout=5)
    assert results == [-15]
    assert work.run(["sleep", "60"]).returncode == -15


def test_a_command_holds_the_locks_of_its_own_work_alone(tmp_path: Path) -> None:
    # A first `make up` waited with its base images until the compiler was done, which another thread had started.
    with locked(tmp_path / "tools"):
        work = Work(lambda _text: None)
        runner = threading.Thread(target=work.run, args=(["sleep", "60"],))
        elsewhere = threading.Thread(target=_start_under_a_lock, args=(tmp_path / "images", runner, work))
        elsewhere.start()
        elsewhere.join()
    with (tmp_path / "images").open("w") as images, (tmp_path / "tools").open("w") as tools:
        assert try_lock(images)
        assert not try_lock(tools)
    work.stop()
    runner.join(timeout=5)


def _start_under_a_lock(lock: Path, runner: threading.Thread, work: Work) -> None:
    with locked(lock):
        runner.start()
        while not work._children:
            time.sleep(0.01)
