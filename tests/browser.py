"""Debian's Chromium, as Playwright drives it, for the tests that need a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# As root, in a sandbox of its own already, and quiet: a browser's own errands have no network here.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

EXPECTED_WITHIN_MS = 20_000
"""How long a page may take to show what a test expects: images are built beside the tests."""

SCREENSHOTS = "SLIPWAY_SCREENSHOTS"
"""Names a folder to keep the screenshots in; else they go with the other temporary files of the run."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that knows nothing.

    For a module at most, never a session: while it is open, no other event loop can run in this process.
    """
    program = shutil.which("chromium")
    assert program, "there is no chromium on this machine: `make test` installs it"
    expect.set_options(timeout=EXPECTED_WITHIN_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield found
        found.close()


def screenshots(temporary: pytest.TempPathFactory) -> Path:
    """The folder that screenshots go to."""
    chosen = os.environ.get(SCREENSHOTS)
    folder = Path(chosen) if chosen else temporary.getbasetemp() / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take(page: Page, file: Path) -> None:
    """Keep a picture of a whole page.

    On a screen as high as the page: what is fixed to the screen's edges would else stand in the middle.
    """
    screen = page.viewport_size
    assert screen
    height: int = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": screen["width"], "height": max(screen["height"], height)})
    page.screenshot(path=file, full_page=True, animations="disabled")
    page.set_viewport_size(screen)
