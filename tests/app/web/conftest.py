"""The built page in a real browser, before a fake of what is behind it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from devcloud.bootstrap import cache_folder
from devcloud.toolchain import node
from tests.app.web.fake_backend import ROOT, FakeBackend, serving
from tests.browser import chromium, screenshots, take

WEB = ROOT / "app" / "web"


@pytest.fixture(scope="session")
def npm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs npm in app/web, with the packages of its lock installed."""
    tools = node.install(WEB, cache_folder(), print)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(tools / "npm"), *arguments]
        return subprocess.run(
            command, cwd=WEB, env=node.environment(tools), capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture(scope="session")
def built(npm: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as the image has it."""
    folder = tmp_path_factory.mktemp("page")
    done = npm("run", "build", "--", "--outDir", str(folder), "--emptyOutDir")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this machine."""
    with chromium() as found:
        yield found


@pytest.fixture
def backend() -> FakeBackend:
    """What is behind the page, with one account."""
    return FakeBackend(accounts={"ada@example.com": PASSWORD})


@pytest.fixture
def address(backend: FakeBackend, built: Path) -> Iterator[str]:
    """Where the page is served."""
    with serving(backend, built) as found:
        yield found


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Open]:
    """Opens a page in a browser that knows nothing: `opened("/trends", width=390, dark=True)`.

    At the end nothing may have gone wrong in it: no error of the page's, and nothing that its policy forbade.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # What a server refuses, the browser says itself; the page tells it to the person.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def open_page(path: str = "/", *, width: int = 1280, height: int = 860, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def signed_in(opened: Open) -> Open:
    """As `opened`, by somebody who has signed in first."""

    def open_page(path: str = "/", *, width: int = 1280, height: int = 860, dark: bool = False) -> Page:
        page = opened(path, width=width, height=height, dark=dark)
        sign_in(page)
        return page

    return open_page


PASSWORD = "correct horse battery"


def sign_in(page: Page, password: str = PASSWORD) -> None:
    """Fill the sign-in page in and send it."""
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture
def screenshot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Page, str], None]:
    """Keeps a picture of a page for a person to look at: `screenshot(page, "trends")`."""
    folder = screenshots(tmp_path_factory)
    return lambda page, name: take(page, folder / f"{name}.png")
