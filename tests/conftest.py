"""How a run of the tests is spread over processes, and what it says at its end.

The tests of a file stay together, and so do all that share the cloud; the rest runs beside those. What could not be
checked here is said at the end, with why, from whichever process it was in.
"""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

NOTES = pytest.StashKey[list[str]]()
CLOUD = Path(__file__).parent / "cloud"


def pytest_configure(config: pytest.Config) -> None:
    """Begin without notes, and without looking for garbage among all that is imported."""
    config.stash[NOTES] = []
    gc.disable()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Name each test's group, for `--dist loadgroup`."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            group = "cloud" if item.path.is_relative_to(CLOUD) else item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Look for garbage again, but among what the tests make: a quarter of the time of a run is saved."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says a line at the end of the run: `note("...")`."""
    return pytestconfig.stash[NOTES].append


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give a worker's notes to whoever started it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["notes"] = session.config.stash[NOTES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's notes; one that broke down has none."""
    node.config.stash[NOTES] += getattr(node, "workeroutput", {}).get("notes", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the notes, whatever the outcome."""
    for line in config.stash[NOTES]:
        terminalreporter.write_line(f"note: {line}", yellow=True)
