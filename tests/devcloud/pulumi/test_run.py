"""Runs of the engine that were killed are cleared away; living ones are left alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
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
    assert runs.clear_dead("local")
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
    record(runs, session=0, started="", owner=owner.pid, ownerStarted=started_at(owner.pid), command="pulumi up")
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
    assert runs.clear_dead("local")
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
    assert runs.clear_dead("local")
    assert not alive(engine.pid)


def test_the_lock_of_a_dead_process_is_removed(runs: Runs) -> None:
    file = lock(runs, dead_pid())
    assert runs.clear_dead("local")
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


def test_a_run_is_on_record_while_it_lasts(runs: Runs) -> None:
    with runs.start("local", ["sh", "-c", "echo hello"], env=dict(os.environ), cwd=Path("/")) as process:
        kept = json.loads((runs.folder / "local.json").read_text())
        assert kept["session"] == process.pid
        assert process.stdout is not None
        assert process.stdout.read() == "hello\n"
    assert not (runs.folder / "local.json").exists()


def test_plugins_of_an_engine_that_was_killed_end_with_the_run(runs: Runs) -> None:
    # Some look every five minutes only whether their engine is there.
    engine = ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; kill -9 $$"]
    with runs.start("local", engine, env=dict(os.environ), cwd=Path("/")) as process:
        assert process.stdout
        plugin = int(process.stdout.readline())
    assert process.returncode == -signal.SIGKILL
    assert not alive(plugin)


def test_a_stack_that_nobody_ran_has_nothing_to_clear(runs: Runs) -> None:
    assert not runs.clear_dead("local")
