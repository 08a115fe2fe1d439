"""Runs of the engine that were killed are cleared away; living ones are left alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devcloud.pulumi.run import OWNER, Runs
from devcloud.util.console import UserError
from devcloud.util.processes import alive, started_at

pytestmark = pytest.mark.services


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs", tmp_path / "state")


def record(runs: Runs, **values: object) -> None:
    runs.folder.mkdir(parents=True, exist_ok=True)
    (runs.folder / "local.json").write_text(json.dumps(values))


def record_abandoned(runs: Runs, pid: int) -> None:
    """Put a process on record as a run whose owner is dead."""
    record(runs, session=pid, started=started_at(pid), owner=dead_pid(), ownerStarted="1", command="up")


def lock(runs: Runs, pid: int) -> Path:
    file = runs.state / ".pulumi" / "locks" / "organization" / "slipway" / "local" / "one.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": pid}))
    return file


def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_a_killed_run_left_running_is_ended(runs: Runs) -> None:
    orphan = subprocess.Popen(["sleep", "60"], start_new_session=True)
    record_abandoned(runs, orphan.pid)
    runs.clear_dead("local")
    orphan.wait(timeout=5)
    assert not alive(orphan.pid)


def test_a_process_that_got_a_dead_runs_number_is_left_alone(runs: Runs) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        record(runs, session=stranger.pid, started="1", owner=dead_pid(), ownerStarted="1", command="up")
        runs.clear_dead("local")
        assert alive(stranger.pid)
    finally:
        stranger.terminate()
        stranger.wait()


def test_a_run_under_way_is_waited_for(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    owner = subprocess.Popen(["sleep", "3"])
    start = started_at(owner.pid)
    record(runs, session=dead_pid(), started="1", owner=owner.pid, ownerStarted=start, command="pulumi up")
    threading.Thread(target=owner.wait).start()
    runs.clear_dead("local")
    assert not alive(owner.pid)
    assert f"`pulumi up` of stack local is under way (process {owner.pid})" in capsys.readouterr().err


def test_an_engine_that_was_never_put_on_record_is_ended_with_its_lock(runs: Runs) -> None:
    gone = f"{dead_pid()} 1"
    command = [sys.executable, "-c", "import time; time.sleep(60)  # pulumi"]
    engine = subprocess.Popen(command, start_new_session=True, env={**os.environ, OWNER: gone})
    time.sleep(0.1)
    file = lock(runs, engine.pid)
    threading.Thread(target=engine.wait).start()
    runs.clear_dead("local")
    assert not alive(engine.pid)
    assert not file.exists()


def test_an_engine_that_does_not_end_when_asked_is_killed(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devcloud.pulumi.run.GRACE_SECONDS", 0.5)
    # A background job of a shell starts with SIGINT ignored, so even an idle process may not hear it.
    deaf = "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"
    engine = subprocess.Popen(["sh", "-c", deaf], start_new_session=True, stdout=subprocess.PIPE)
    assert engine.stdout is not None
    assert engine.stdout.readline() == b"ready\n"
    record_abandoned(runs, engine.pid)
    threading.Thread(target=engine.wait).start()
    runs.clear_dead("local")
    assert not alive(engine.pid)


def test_the_lock_of_a_dead_process_is_removed(runs: Runs) -> None:
    file = lock(runs, dead_pid())
    runs.clear_dead("local")
    assert not file.exists()


def test_the_lock_of_a_living_engine_stays(runs: Runs) -> None:
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # pulumi"])
    try:
        time.sleep(0.1)
        file = lock(runs, engine.pid)
        with pytest.raises(UserError, match="is locked by a run of Pulumi that is alive"):
            runs.clear_dead("local")
        assert file.exists()
    finally:
        engine.terminate()
        engine.wait()


def run(runs: Runs, script: str, on_line: Callable[[str], object] = lambda _: None) -> int:
    return runs.run("local", ["sh", "-c", script], on_line, env=dict(os.environ), cwd=Path("/"))


def test_a_run_is_on_record_while_it_lasts(runs: Runs) -> None:
    heard: list[str] = []

    def hear(line: str) -> None:
        kept = json.loads((runs.folder / "local.json").read_text())
        heard.extend([line, str(kept["session"])])

    assert run(runs, "echo $$; exit 3", hear) == 3
    assert heard == [f"{heard[1]}\n", heard[1]]
    assert list(runs.folder.iterdir()) == []


def test_an_interrupt_is_passed_on_and_waited_for(runs: Runs, tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    script = f"trap 'sleep 0.2; touch {tmp_path}/saved; exit' INT; echo ready; while :; do sleep 0.05; done"
    # A background job of a shell starts with SIGINT ignored, which a shell cannot undo by a trap.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(runs, script, interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "saved").exists()
    assert list(runs.folder.iterdir()) == []


def test_plugins_of_an_engine_that_was_killed_end_with_the_run(runs: Runs) -> None:
    # Some look every five minutes only whether their engine is there.
    heard: list[str] = []
    assert run(runs, "sleep 60 >/dev/null 2>&1 & echo $!; kill -9 $$", heard.append) == -signal.SIGKILL
    assert not alive(int(heard[0]))


def test_a_record_that_a_crash_cut_short_stops_nobody(runs: Runs) -> None:
    record(runs)
    (runs.folder / "local.json").write_text("{")
    runs.clear_dead("local")
    assert run(runs, "true") == 0
