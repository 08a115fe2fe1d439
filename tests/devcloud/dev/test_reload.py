"""A command is started anew when a file changes, and ends as its container would end it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT

pytestmark = pytest.mark.services

SERVICE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"ended well\\n"), sys.exit()))
print("started", flush=True)
time.sleep(60)
"""


class Reloader:
    """The program under test, and what it and its command said."""

    def __init__(self, folder: Path, code: str) -> None:
        self.watched = folder / "code"
        self.watched.mkdir()
        self.out = folder / "out"
        command = [sys.executable, "-m", "devcloud.dev.reload", str(self.watched), "--", sys.executable, "-c", code]
        with self.out.open("w") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)

    def wait(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.out.read_text().count(text) < times:
            assert time.monotonic() < deadline, self.out.read_text()
            time.sleep(0.02)

    def change_until(self, text: str, times: int) -> None:
        # The watch begins a moment after the command: a change before that is not seen.
        for number in range(10):
            (self.watched / "a.py").write_text(f"# {number}\n")
            # Each change ends the command that the one before it started: it has time to say its word.
            patience = time.monotonic() + 3
            while time.monotonic() < patience:
                if self.out.read_text().count(text) >= times:
                    return
                time.sleep(0.02)
        pytest.fail(self.out.read_text())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Reloader]:
    reloader = Reloader(tmp_path, SERVICE)
    yield reloader
    if reloader.process.poll() is None:
        reloader.process.kill()


def test_a_change_ends_the_command_cleanly_and_starts_it_anew(running: Reloader) -> None:
    running.wait("started")
    running.change_until("started", 2)
    said = running.out.read_text()
    assert said.index("ended well") < said.rindex("started")
    assert "a.py; starting anew" in said


def test_the_command_ends_with_it(running: Reloader) -> None:
    running.wait("started")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert running.out.read_text().endswith("ended well\n")


def test_a_command_that_ended_by_itself_is_started_anew_by_the_next_change(tmp_path: Path) -> None:
    reloader = Reloader(tmp_path, "print('failed', flush=True); raise SystemExit(1)")
    reloader.wait("failed")
    reloader.change_until("failed", 2)
    reloader.process.terminate()
    assert reloader.process.wait(10) == 0
