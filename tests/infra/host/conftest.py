"""The tests of the host's program need nothing but pytest, so that they also run under Python 3.9."""

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program not wait for a busy disk: no test cuts the power."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
