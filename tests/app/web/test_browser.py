"""The front end in a real browser, before a fake of the services; tests/cloud goes through the real ones."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app.web.conftest import WEB, Open, sign_in
from tests.app.web.fake_backend import FakeBackend

pytestmark = pytest.mark.services

Screenshot = Callable[[Page, str], None]
LOOKS = [
    pytest.param(width, dark, id=f"{width}-{'dark' if dark else 'light'}")
    for width in (1280, 390)
    for dark in (False, True)
]


def fill_panel(page: Page) -> None:
    """Enter three tests, the third without a range."""
    page.get_by_label("Patient reference").fill("patient-17")
    for number, row in enumerate(
        [
            ("HbA1c", "6.1", "%", "4.0", "5.6"),
            ("TSH", "2.1", "mIU/L", "0.4", "4.0"),
            ("Frobnicase", "12", "U/L", "", ""),
        ],
        start=1,
    ):
        for label, text in zip(("Test", "Result", "Unit", "Range from", "Range to"), row, strict=True):
            page.get_by_label(f"{label}, test {number}", exact=True).fill(text)


def trend(name: str, unit: str, category: str, means: list[float]) -> dict[str, Any]:
    """A test by month, from January 2026 on."""
    return {
        "test_name": name,
        "unit": unit,
        "category": category,
        "periods": [
            {
                "period": f"2026-{month:02}-01T00:00:00Z",
                "count": 3,
                "mean": mean,
                "minimum": round(mean * 0.96, 2),
                "maximum": round(mean * 1.05, 2),
                "latest": mean,
            }
            for month, mean in enumerate(means, start=1)
        ],
    }


def no_sideways_scrolling(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def barriers(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using a page: contrast, labels, roles, order."""
    page.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


# --- who is there ---------------------------------------------------------------------------------------------------


def test_whoever_signs_up_is_signed_in(opened: Open, backend: FakeBackend) -> None:
    page = opened("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("E-mail").fill("new@example.com")
    page.get_by_label("Password").fill("too short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("At least 12 characters, please.")).to_be_visible()
    page.get_by_label("Password").fill("a few words in a row")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Panels", exact=True)).to_be_visible()
    assert "new@example.com" in backend.accounts


def test_a_wrong_password_is_told_and_what_was_typed_is_kept(opened: Open) -> None:
    page = opened("/")
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("The address or the password is wrong.")
    expect(page.get_by_label("E-mail")).to_have_value("ada@example.com")


def test_whoever_signs_out_leaves_nothing_behind(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/panels")
    with page.expect_response("**/auth/sign-out"):  # the page does not wait for it
        page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("Your session has ended")).not_to_be_visible()
    assert backend.tokens == set()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_session_that_ended_leads_to_the_sign_in_and_back(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/trends")
    # A call that is still on its way would end the session itself.
    expect(page.get_by_text("No trends yet")).to_be_visible()
    expect(page.get_by_text("ada@example.com")).to_be_visible()
    backend.tokens.clear()
    page.get_by_role("link", name="Reports").click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    sign_in(page)
    expect(page.get_by_role("heading", name="Reports", exact=True)).to_be_visible()


def test_nobody_is_led_to_another_site(opened: Open, address: str) -> None:
    page = opened("/sign-in?next=//elsewhere.example")
    sign_in(page)
    expect(page.get_by_role("heading", name="Panels", exact=True)).to_be_visible()
    assert page.url == f"{address}/panels"


# --- panels ---------------------------------------------------------------------------------------------------------


def test_a_panel_goes_in_and_is_watched_until_it_is_categorised(signed_in: Open, backend: FakeBackend) -> None:
    backend.worker_works = False
    page = signed_in("/panels")
    page.get_by_role("link", name="Enter your first panel").click()
    fill_panel(page)
    page.get_by_role("button", name="Send panel").click()
    expect(page.get_by_text("In the queue")).to_be_visible()
    expect(page.get_by_text("waiting for the worker").first).to_be_visible()
    backend.worker_works = True
    row = page.get_by_role("row", name="HbA1c")
    expect(row).to_contain_text("Diabetes")
    expect(row).to_contain_text("6.1 %")
    expect(row).to_contain_text("High")
    expect(row).to_contain_text("93 %")
    expect(page.get_by_role("row", name="Frobnicase")).to_contain_text("Not recognised")
    sent = backend.panels[0]["tests"]
    assert [(test["name"], test["value"], test["unit"]) for test in sent] == [
        ("HbA1c", 6.1, "%"),
        ("TSH", 2.1, "mIU/L"),
        ("Frobnicase", 12, "U/L"),
    ]
    assert sent[0]["reference_range"] == {"low": 4, "high": 5.6}
    assert "reference_range" not in sent[2]


def test_once_a_panel_is_categorised_nobody_asks_for_it_any_more(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/panels/new")
    fill_panel(page)
    page.get_by_role("button", name="Send panel").click()
    expect(page.get_by_role("row", name="HbA1c")).to_contain_text("Diabetes")
    looks = backend.looks
    page.wait_for_timeout(2_500)
    assert backend.looks == looks


def test_mistakes_are_told_at_their_place_and_the_first_gets_the_focus(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/panels/new")
    fill_panel(page)
    page.get_by_label("Result, test 2").fill("2,1")
    page.get_by_role("button", name="Send panel").click()
    field = page.get_by_label("Result, test 2")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("decimals with a point"))
    expect(page.get_by_role("alert").filter(has_text="One row needs")).to_be_visible()
    assert backend.panels == []
    field.fill("2.1")
    page.get_by_role("button", name="Send panel").click()
    expect(page.get_by_role("row", name="TSH")).to_contain_text("Thyroid")


def test_a_panel_is_entered_by_the_keyboard_alone(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/panels/new")
    page.get_by_label("Patient reference").focus()
    page.keyboard.type("p-1")
    for text in ("HbA1c", "6.1", "%"):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="p-1")).to_be_focused()
    assert backend.panels[0]["tests"][0]["value"] == 6.1


def test_rows_are_pasted_from_a_spreadsheet(signed_in: Open) -> None:
    page = signed_in("/panels/new")
    page.get_by_label("Test, test 1").focus()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "HbA1c\\t6.1\\t%\\t4.0\\t5.6\\nTSH\\t2.1\\tmIU/L");
            document.activeElement.dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.get_by_label("Unit, test 2")).to_have_value("mIU/L")
    expect(page.get_by_label("Test, test 3")).not_to_be_visible()


def test_a_panel_that_is_nobodys_or_anothers_is_told_as_not_there(signed_in: Open) -> None:
    page = signed_in("/panels/00000000-0000-4000-8000-000000000000")
    expect(page.get_by_role("alert")).to_contain_text("There is no such thing")


def test_while_the_server_is_away_a_banner_says_so_and_nothing_typed_is_lost(
    signed_in: Open, backend: FakeBackend, screenshot: Screenshot
) -> None:
    page = signed_in("/panels/new")
    fill_panel(page)
    backend.away = True
    page.get_by_role("button", name="Send panel").click()
    banner = page.get_by_role("alert").filter(has_text="cannot be reached at the moment. What you typed")
    expect(banner).to_be_visible()
    screenshot(page, "away")
    expect(page.get_by_label("Result, test 1")).to_have_value("6.1")
    backend.away = False
    banner.get_by_role("button", name="Try again").click()
    expect(banner).not_to_be_visible()
    page.get_by_role("button", name="Send panel").click()
    expect(page.get_by_role("row", name="HbA1c")).to_contain_text("Diabetes")
    # Both tries were the same request, so that it would be stored once had the answer been lost.
    assert len(backend.keys) == 2
    assert len(set(backend.keys)) == 1


# --- reports, trends, chat ------------------------------------------------------------------------------------------


def test_what_is_found_in_a_report_is_marked_in_its_text(signed_in: Open) -> None:
    page = signed_in("/reports/new")
    page.get_by_label("Patient reference").fill("patient-17")
    page.get_by_label("Text of the report").fill("🧪 HbA1c of 6.1 % points to prediabetes.\nTSH was <b>normal</b>.")
    page.get_by_role("button", name="Send report").click()
    marks = page.locator("mark")
    expect(marks).to_have_count(2)
    expect(marks.nth(0)).to_have_text("HbA1c (Diabetes)")
    expect(page.get_by_label("Text of the report")).to_contain_text("<b>normal</b>")
    expect(page.get_by_role("listitem").filter(has_text="HbA1c")).to_contain_text("6.1 %")


def test_trends_are_plotted_and_can_be_read_as_a_table(signed_in: Open, backend: FakeBackend) -> None:
    backend.trends = [trend("HbA1c", "%", "diabetes", [6.9, 6.4, 6.1]), trend("TSH", "mIU/L", "thyroid", [2.1])]
    page = signed_in("/trends")
    expect(page.get_by_role("img")).to_have_count(2)
    expect(page.get_by_role("img").first).to_have_accessible_name(
        "HbA1c, mean by month: 6.9 % in Jan 2026, 6.1 % in Mar 2026."
    )
    page.get_by_role("button", name="Diabetes").click()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Show as a table").click()
    expect(page.get_by_role("row", name="Feb 2026")).to_contain_text("6.4")


def test_a_question_is_answered_and_the_chat_can_be_found_again(signed_in: Open, backend: FakeBackend) -> None:
    page = signed_in("/chat")
    page.get_by_label("Your question").fill("What is out of range?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("HbA1c was 6.1 %")
    expect(page.get_by_text("looked at: out of range")).to_be_visible()
    page.get_by_label("Your question").fill("And now?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("HbA1c was 6.1 %")).to_have_count(2)
    assert len(backend.chats) == 1
    page.get_by_role("link", name="New chat").click()
    page.get_by_role("navigation", name="Earlier chats").get_by_role("link").click()
    expect(page.get_by_text("What is out of range?", exact=True).first).to_be_visible()


# --- how it looks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_screen_and_keeps_nobody_out(
    opened: Open, backend: FakeBackend, screenshot: Screenshot, width: int, dark: bool
) -> None:
    look = f"{width}-{'dark' if dark else 'light'}"
    backend.trends = [
        trend("HbA1c", "%", "diabetes", [7.2, 6.9, 6.8, 6.4, 6.5, 6.1]),
        trend("LDL cholesterol", "mmol/L", "lipids", [4.1, 3.9, 3.6, 3.7, 3.4, 3.4]),
        trend("Creatinine", "µmol/L", "kidney", [81, 78, 80]),
        trend("TSH", "mIU/L", "thyroid", [2.1]),
    ]
    page = opened("/", width=width, height=844 if width < 500 else 860, dark=dark)

    def seen(name: str) -> None:
        assert no_sideways_scrolling(page), name
        assert barriers(page) == [], name
        screenshot(page, f"{name}-{look}")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    seen("1-sign-in")
    sign_in(page)
    page.get_by_role("link", name="Enter your first panel").click()
    page.get_by_role("button", name="Fill in an example").click()
    seen("2-new-panel")
    page.get_by_label("Result, test 2").fill("3,4")
    page.get_by_role("button", name="Send panel").click()
    seen("3-mistake")
    page.get_by_label("Result, test 2").fill("3.4")
    backend.worker_works = False
    page.get_by_role("button", name="Send panel").click()
    expect(page.get_by_text("In the queue")).to_be_visible()
    seen("4-queued")
    backend.worker_works = True
    expect(page.get_by_role("row", name="HbA1c")).to_contain_text("Diabetes")
    seen("5-categorised")
    backend.panels += [
        {**backend.panels[0], "id": "2", "patient_reference": "patient-18", "status": "failed", "reason": "No."},
        {
            **backend.panels[0],
            "id": "3",
            "patient_reference": "patient-19 of the long clinical trial",
            "status": "queued",
        },
    ]
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Panels").click()
    expect(page.get_by_text("patient-18")).to_be_visible()
    seen("6-panels")
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("link", name="Enter your first report").click()
    page.get_by_label("Patient reference").fill("patient-17")
    page.get_by_label("Text of the report").fill(
        "HbA1c of 6.1 % points to prediabetes; see again in May.\n\nLDL cholesterol is 3.4 mmol/L. TSH was normal."
    )
    page.get_by_role("button", name="Send report").click()
    expect(page.locator("mark")).to_have_count(3)
    seen("7-report")
    page.get_by_role("link", name="Trends").click()
    expect(page.get_by_role("img")).to_have_count(4)
    seen("8-trends")
    page.get_by_role("link", name="Ask").click()
    expect(page.get_by_role("button", name="How has my HbA1c changed?")).to_be_visible()
    page.get_by_label("Your question").fill("Which of my results are outside their range?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("looked at: out of range")).to_be_visible()
    seen("9-chat")
