"""Processes in the foreground: their lines, and their end."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcloud.dev.foreground import Group, Process, clear_dead, readable
from devcloud.util.processes import alive

pytestmark = pytest.mark.services

LINGER = "import time; print('started', flush=True); time.sleep(60)"


def python(code: str, name: str = "one", **more: object) -> Process:
    return Process(name, [sys.executable, "-c", code], dict(os.environ), **more)  # type: ignore[arg-type]


def wait_for(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path / "processes.json", io.StringIO())


def said(group: Group) -> str:
    return group._out.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_each_line_stands_under_its_name(group: Group) -> None:
    group.start(python("print('hello')", "api"))
    group.start(python("print('there')", "worker"))
    wait_for(lambda: said(group).count("\n") == 2)
    assert sorted(said(group).splitlines()) == ["api       | hello", "worker    | there"]
    group.stop()


def test_a_process_that_ends_by_itself_is_named_with_its_status(group: Group) -> None:
    group.start(python(LINGER))
    assert group.dead() is None
    group.start(python("raise SystemExit(3)", "two"))
    wait_for(group.dead)
    assert group.dead() == ("two", 3)
    group.stop()


def test_the_last_started_is_ended_first_and_nothing_is_left(group: Group, tmp_path: Path) -> None:
    ends = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'ended\\n'), sys.exit()))\n"
        "print('started', flush=True)\ntime.sleep(60)"
    )
    group.start(python(ends, "first"))
    group.start(python(ends, "last"))
    wait_for(lambda: said(group).count("started") == 2)
    group.stop()
    ended = [line.split()[0] for line in said(group).splitlines() if line.endswith("ended")]
    assert ended == ["last", "first"]
    assert not (tmp_path / "processes.json").exists()


def test_a_child_of_a_process_ends_with_it(group: Group) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    group.start(python(code))
    wait_for(lambda: said(group).endswith("\n"))
    child = int(said(group).split("|")[1])
    assert alive(child)
    group.stop()
    wait_for(lambda: not alive(child))


def test_output_can_go_to_a_log_instead(group: Group, tmp_path: Path) -> None:
    group.start(python("print('quiet')", log=tmp_path / "one.log"))
    wait_for(group.dead)
    assert (tmp_path / "one.log").read_text() == "quiet\n"
    assert said(group) == ""
    group.stop()


def test_what_a_killed_run_left_is_ended_at_the_next(tmp_path: Path) -> None:
    record = tmp_path / "processes.json"
    code = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from devcloud.dev.foreground import Group, Process\n"
        f"group = Group(Path({str(record)!r}))\n"
        f"group.start(Process('one', [sys.executable, '-c', {LINGER!r}], dict(os.environ)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    pid = int(record.read_text().strip("[]").split(",")[0])
    assert alive(pid)
    assert clear_dead(record) == 1
    wait_for(lambda: not alive(pid))
    assert clear_dead(record) == 0


def test_an_id_that_was_given_anew_is_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "processes.json"
    record.write_text(f'[[{os.getpid()}, "1"]]')
    assert clear_dead(record) == 0
    record.write_text("half writ")
    assert clear_dead(record) == 0


def test_a_structured_line_is_read_as_a_person_would() -> None:
    line = '{"time": "2026-11-25T10:00:01.500+00:00", "level": "INFO", "logger": "a", "message": "done", "status": 200}'
    assert readable(line) == "10:00:01 INFO    done status=200"
    assert readable('{"a": 1}') == '{"a": 1}'
    assert readable("{not json") == "{not json"
    assert readable("plain") == "plain"
    deep = '{"a":' * 10_000
    assert readable(deep) == deep


def test_a_line_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    line = r'{"time": "2026-11-25T10:00:01.5", "level": "INFO", "message": "\u001b[2J"}'
    for text in (line, "fine\rposed"):
        Group(tmp_path / "record", out).say("api", 0, text)
    assert out.getvalue() == "api       | 10:00:01 INFO    \\x1b[2J\napi       | fine\\rposed\n"
