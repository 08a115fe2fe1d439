"""Locks among processes."""

import multiprocessing
import time
from pathlib import Path

import pytest

from devcloud.util.console import UserError
from devcloud.util.locks import locked, only_one

pytestmark = pytest.mark.services


def _hold(file: Path) -> None:
    """Until somebody waits."""
    with locked(file, lambda: None):
        file.with_name("held").touch()
        while not file.with_name("waiting").exists():
            time.sleep(0.01)


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    other = multiprocessing.get_context("fork").Process(target=_hold, args=(file,))
    other.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with locked(file, (tmp_path / "waiting").touch):
        assert (tmp_path / "waiting").exists()
    other.join()


def test_a_command_that_runs_already_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="`make dev` runs on this machine already")
    with only_one(tmp_path / "lock", "make dev"), refused, only_one(tmp_path / "lock", "make dev"):
        pass
    with only_one(tmp_path / "lock", "make dev"):
        pass
