"""The product as a person uses it: in a real browser, through the edge, over what the stack declared and built.

A panel goes in at the front end, through the API and the queue to the worker, and is seen on the page, in the trends
and on the operators' dashboard.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from devcloud.verify.smoke_test import SmokeTest
from infra.outputs import parse
from tests.browser import chromium, screenshots, take
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud

READY_SECONDS = 60
CATEGORISED_MS = 60_000
TRENDS_SECONDS = 60
"""The aggregation is a job of its own, which the API's relay sends within 10 s."""


@dataclass(frozen=True)
class Product:
    """The release with one worker, running."""

    address: str
    """Of the edge."""
    checkout: Checkout

    def grant(self, email: str) -> None:
        """Make an account an operator's, as one does on the host."""
        command = ["/opt/venv/bin/python", "-m", "app.auth.operators", "grant", email]
        done = self.checkout.on_host("auth", "exec", "{}", *command)
        assert done.code == 0, done.said


@pytest.fixture(scope="module")
def product(checkout: Checkout, first_up: Done) -> Iterator[Product]:
    """Starts what the stack declared, as its host and ECS would; ends it after the module's tests."""
    checkout.restore()
    checkout.up()  # whatever a test before it had deployed
    smoke = SmokeTest(checkout.engine, "local", parse("local", checkout.outputs()))
    with smoke.running("product") as address:
        for path in ("/health", "/api/health", "/auth/health", "/dashboard/health"):
            wait_for(f"{address}{path}")
        yield Product(address, checkout)


def wait_for(address: str) -> None:
    """Wait until an address answers well."""
    deadline = time.monotonic() + READY_SECONDS
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(address, timeout=10, trust_env=False)
        except httpx.HTTPError as error:
            said = type(error).__name__
        else:
            if answer.is_success:
                return
            said = f"{answer.status_code}: {answer.text[:200]}"
        time.sleep(0.3)
    pytest.fail(f"{address} was not well within {READY_SECONDS} s; it answered {said}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this machine."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that screenshots go to."""
    return screenshots(tmp_path_factory)


@dataclass(frozen=True)
class Person:
    """Somebody with an account of their own."""

    email: str
    password: str
    page: Page


@pytest.fixture(scope="module")
def person(product: Product, browser: Browser) -> Iterator[Person]:
    """Somebody who has just signed up at the front end."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    context.set_default_timeout(20_000)
    someone = Person(f"ada-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18), context.new_page())
    page = someone.page
    page.goto(f"{product.address}/sign-up")
    page.get_by_label("E-mail").fill(someone.email)
    page.get_by_label("Password").fill(someone.password)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Panels", exact=True)).to_be_visible()
    yield someone
    context.close()


def test_a_panel_entered_at_the_front_end_is_categorised_by_the_worker_and_seen_there(
    product: Product, person: Person, pictures: Path
) -> None:
    page = person.page
    page.goto(f"{product.address}/panels/new")
    page.get_by_role("button", name="Fill in an example").click()
    take(page, pictures / "product-1-new-panel.png")
    page.get_by_role("button", name="Send panel").click()
    for test, category in (("HbA1c", "Diabetes"), ("LDL cholesterol", "Lipids"), ("TSH", "Thyroid")):
        row = page.get_by_role("row", name=test)
        expect(row).to_contain_text(category, timeout=CATEGORISED_MS)
        expect(row).to_contain_text("%")
    take(page, pictures / "product-2-categorised.png")
    page.get_by_role("link", name="Panels").first.click()
    expect(page.get_by_role("listitem").filter(has_text="patient-17")).to_contain_text("Categorised")


def test_what_is_named_in_a_report_is_found_and_marked(product: Product, person: Person, pictures: Path) -> None:
    page = person.page
    page.goto(f"{product.address}/reports/new")
    page.get_by_label("Patient reference").fill("patient-17")
    page.get_by_label("Text of the report").fill("HbA1c 6.1 % points to prediabetes. LDL cholesterol 131 mg/dL.")
    page.get_by_role("button", name="Send report").click()
    expect(page.locator("mark").filter(has_text="HbA1c")).to_be_visible(timeout=CATEGORISED_MS)
    take(page, pictures / "product-3-report.png")


def test_the_panels_results_are_in_the_trends(product: Product, person: Person, pictures: Path) -> None:
    page = person.page
    deadline = time.monotonic() + TRENDS_SECONDS
    # By its unit: its name is as the worker normalises it.
    card = page.get_by_role("article").filter(has_text="mIU/L")
    while not card.count() and time.monotonic() < deadline:
        page.goto(f"{product.address}/trends")
        page.wait_for_timeout(1_500)
    expect(card).to_contain_text("2.1")
    take(page, pictures / "product-4-trends.png")


def test_the_dashboard_is_an_operators_alone_and_shows_the_work(
    product: Product, person: Person, browser: Browser, pictures: Path
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    try:
        sign_in_to_the_dashboard(page, product, person)
        expect(page.get_by_text("this account is none")).to_be_visible()
        product.grant(person.email)
        context.clear_cookies()
        sign_in_to_the_dashboard(page, product, person)
        expect(page.get_by_role("heading", name="Jobs by state")).to_be_visible()
        expect(page.get_by_role("row", name="categorise")).to_be_visible()
        take(page, pictures / "product-5-dashboard.png")
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        take(page, pictures / "product-6-dashboard-390.png")
    finally:
        context.close()


def sign_in_to_the_dashboard(page: Page, product: Product, person: Person) -> None:
    """Fill the dashboard's own sign-in form in."""
    page.goto(f"{product.address}/dashboard")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()


def test_after_signing_out_the_token_is_no_longer_good(product: Product, person: Person) -> None:
    page = person.page
    page.goto(f"{product.address}/panels")
    token = page.evaluate("sessionStorage.getItem('slipway.token')")
    with page.expect_response("**/auth/sign-out"):  # the page does not wait for it
        page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    answer = httpx.get(
        f"{product.address}/api/labs", headers={"Authorization": f"Bearer {token}"}, timeout=10, trust_env=False
    )
    assert answer.status_code == httpx.codes.UNAUTHORIZED


# --- the edge -------------------------------------------------------------------------------------------------------


def get(product: Product, path: str, **headers: str) -> httpx.Response:
    """What the edge answers."""
    return httpx.get(f"{product.address}{path}", headers=headers, timeout=10, trust_env=False)


def test_any_address_of_the_page_is_the_page_and_no_old_one_is_taken_for_the_new(product: Product) -> None:
    answer = get(product, "/panels/anything", **{"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"})
    assert answer.status_code == httpx.codes.OK
    assert '<div id="root">' in answer.text
    assert answer.headers["Cache-Control"] == "no-cache"
    # Every file of the image carries the same time, so neither time nor length tells two releases apart.
    assert not {"ETag", "Last-Modified"} & set(answer.headers)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers


def test_assets_are_kept_for_ever_and_come_compressed_but_never_another_releases(product: Product) -> None:
    page = get(product, "/").text
    asset = page.partition('src="')[2].partition('"')[0]
    answer = get(product, asset, **{"Accept-Encoding": "gzip"})
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Encoding"] == "gzip"
    gone = get(product, "/assets/index-of-another-release.js")
    assert gone.status_code == httpx.codes.NOT_FOUND
    assert gone.headers["Cache-Control"] == "no-store"


def test_a_request_keeps_its_id_through_the_edge_and_gets_one_where_it_has_none(product: Product) -> None:
    assert (
        get(product, "/api/health", **{"X-Request-Id": "0123456789abcdef"}).headers["X-Request-Id"]
        == "0123456789abcdef"
    )
    assert get(product, "/auth/health").headers["X-Request-Id"]


def test_the_edges_log_has_neither_queries_nor_tokens(product: Product) -> None:
    mark = secrets.token_hex(8)
    get(product, f"/api/labs/{mark}?cursor=what-a-person-asked", Authorization="Bearer a-token-of-theirs")
    deadline = time.monotonic() + READY_SECONDS
    said = ""
    while f'"uri":"/api/labs/{mark}"' not in said:  # the line comes a moment after the answer
        assert time.monotonic() < deadline, said[-2000:]
        said = product.checkout.on_host("caddy", "logs", "{}").said
    assert "what-a-person-asked" not in said
    assert "a-token-of-theirs" not in said
