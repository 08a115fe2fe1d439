"""What a run of the tests says at its end, besides what passed: what could not be checked here, and why."""

from collections.abc import Callable

import pytest

NOTES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin without notes."""
    config.stash[NOTES] = []


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says a line at the end of the run: `note("...")`."""
    return pytestconfig.stash[NOTES].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the notes, whatever the outcome."""
    for line in config.stash[NOTES]:
        terminalreporter.write_line(f"note: {line}", yellow=True)
