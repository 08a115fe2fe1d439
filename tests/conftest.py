"""Notes at the end of a test run: what could not be checked here, and why."""

import gc
import signal
from collections.abc import Callable

import pytest

NOTES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin without notes, and without looking for garbage among all that is imported.

    A shell starts a background job with SIGINT ignored, and every process inherits that: here it is heard again, so
    that tests mean the same in such a job, as a CI may be one.
    """
    config.stash[NOTES] = []
    gc.disable()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Look for garbage again, but among what the tests make: a quarter of the time of a run is saved."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says a line at the end of the run: `note("...")`."""
    return pytestconfig.stash[NOTES].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the notes, whatever the outcome."""
    for line in config.stash[NOTES]:
        terminalreporter.write_line(f"note: {line}", yellow=True)
