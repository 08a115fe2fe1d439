"""The dashboard's routes, over records, a queue, releases and sessions in memory."""

import asyncio
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy.exc import ProgrammingError

from app.dashboard.cloud import ReleaseError
from app.dashboard.routes import COOKIE, ELSEWHERE, NOT_OPERATOR, WRONG, create_app
from tests.app.dashboard.fakes import (
    DIGEST,
    OPERATOR,
    PASSWORD,
    USER,
    MemoryQueue,
    MemoryRecords,
    MemoryReleases,
    MemorySessions,
)
from tests.app.swapped import Swapped

AWAY = EndpointConnectionError(endpoint_url="http://aws")
HERE = {"origin": "http://dashboard.example"}


NOW = Swapped()
"""The dashboard that a test made last."""
SESSIONS, RECORDS, QUEUE, RELEASES = Swapped(), Swapped(), Swapped(), Swapped()
APP = create_app(SESSIONS, SESSIONS, RECORDS, QUEUE, RELEASES, lambda: NOW.check_cache())


class Dashboard:
    """The app, its neighbors as new, and a browser's cookies."""

    def __init__(self) -> None:
        self.sessions = MemorySessions()
        self.records = MemoryRecords()
        self.queue = MemoryQueue()
        self.releases = MemoryReleases()
        self.cache_away: Exception | None = None
        self.cookies = httpx.Cookies()
        NOW.to, SESSIONS.to, RECORDS.to, QUEUE.to = self, self.sessions, self.records, self.queue
        RELEASES.to = self.releases

    async def check_cache(self) -> None:
        if self.cache_away:
            raise self.cache_away

    def ask(self, method: str, path: str, scheme: str = "http", **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
            base = f"{scheme}://dashboard.example"
            async with httpx.AsyncClient(transport=transport, base_url=base, cookies=self.cookies) as client:
                answer = await client.request(method, path, **options)
                self.cookies = client.cookies
                return answer

        return asyncio.run(asked())

    def sign_in(self, email: str = OPERATOR.email, password: str = PASSWORD, **options: Any) -> httpx.Response:
        form = {"email": email, "password": password}
        return self.ask("POST", "/dashboard/sign-in", data=form, **({"headers": HERE} | options))

    def look(self) -> str:
        answer = self.ask("GET", "/dashboard")
        assert answer.status_code == 200
        return answer.text


@pytest.fixture
def dashboard() -> Dashboard:
    return Dashboard()


@pytest.fixture
def signed_in(dashboard: Dashboard) -> Dashboard:
    assert dashboard.sign_in().status_code == 303
    return dashboard


def test_nobody_sees_the_page_without_signing_in(dashboard: Dashboard) -> None:
    for path in ("/dashboard", "/dashboard/"):
        answer = dashboard.ask("GET", path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/sign-in")
    form = dashboard.ask("GET", "/dashboard/sign-in")
    assert 'action="/dashboard/sign-in"' in form.text
    assert 'http-equiv="refresh"' not in form.text


def test_an_operator_signs_in_and_sees_everything(signed_in: Dashboard) -> None:
    text = signed_in.look()
    for seen in (
        "12\u202f345",
        "in the outbox",
        "oldest 2 min",
        "worker-1",
        "bone and minerals",
        "hba1c",
        "gave up after 5 deliveries",
        DIGEST[7:19],
        "04 Mar 2026, 09:30 UTC",
        "release <code>second000000</code>",
        "23 Feb 2026, 09:30</td><td>the first release</td>",
        "04 Mar 2026, 09:30</td><td>api</td>",
        'http-equiv="refresh" content="30"',
        OPERATOR.email,
    ):
        assert seen in text
    assert [re.search(rf"{state}\">{state}", text) is not None for state in ("alive", "late", "gone")] == [True] * 3
    assert signed_in.ask("GET", "/dashboard/sign-in").headers["location"] == "/dashboard"


def test_the_cookie_is_for_this_site_and_no_script(dashboard: Dashboard) -> None:
    cookie = dashboard.sign_in().headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/dashboard"):
        assert attribute in cookie
    assert 43_000 < int(re.findall(r"Max-Age=(\d+)", cookie)[0]) <= 43_200
    assert "Secure" not in cookie


def test_by_https_the_cookie_is_bound_to_this_host(dashboard: Dashboard) -> None:
    """A browser takes a cookie of this name with Secure and Path=/ only, and from no other host or plain http."""
    https = HERE | {"x-forwarded-proto": "https"}
    cookie = dashboard.sign_in(headers=https).headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    token = rest.partition(";")[0]
    assert name == "__Host-slipway_dashboard"
    for attribute in ("Secure", "HttpOnly", "Path=/;", "SameSite=strict"):
        assert attribute in cookie
    dashboard.cookies.clear()
    for given, status in ((f"{name}={token}", 200), (f"{COOKIE}={token}", 303)):
        assert dashboard.ask("GET", "/dashboard", headers=https | {"cookie": given}).status_code == status
    left = dashboard.ask("POST", "/dashboard/sign-out", headers=https | {"cookie": f"{name}={token}"})
    assert left.headers["set-cookie"].startswith(f'{name}="";')
    assert "Secure" in left.headers["set-cookie"]
    assert dashboard.ask("GET", "/dashboard", headers=https | {"cookie": f"{name}={token}"}).status_code == 303


def test_a_user_is_refused_with_a_sentence_and_gets_no_session(dashboard: Dashboard) -> None:
    answer = dashboard.sign_in(USER.email)
    assert answer.status_code == 403
    assert NOT_OPERATOR in answer.text
    assert "set-cookie" not in answer.headers
    assert dashboard.sessions.open == {}


def test_an_operator_who_is_one_no_more_is_refused_and_can_sign_out(signed_in: Dashboard) -> None:
    (token,) = signed_in.sessions.open
    signed_in.sessions.open[token] = USER
    answer = signed_in.ask("GET", "/dashboard")
    assert answer.status_code == 403
    assert 'action="/dashboard/sign-out"' in answer.text


def test_signing_out_ends_the_session_itself(signed_in: Dashboard) -> None:
    (token,) = signed_in.sessions.open
    answer = signed_in.ask("POST", "/dashboard/sign-out", headers=HERE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/sign-in")
    assert signed_in.sessions.revoked == [token]
    assert COOKIE not in signed_in.cookies
    assert signed_in.ask("GET", "/dashboard").status_code == 303


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (OPERATOR.email, "wrong"),
        ("nobody@lab.example", PASSWORD),
        ("", ""),
        ("a\x00b@lab.example", PASSWORD),
        ("x" * 300, PASSWORD),
        (OPERATOR.email, "x" * 129),
        ('"><script>alert(1)</script>', PASSWORD),
    ],
)
def test_a_wrong_email_or_password_is_told_alike(dashboard: Dashboard, email: str, password: str) -> None:
    answer = dashboard.sign_in(email, password)
    assert answer.status_code == 401
    assert WRONG in answer.text
    assert "<script" not in answer.text


def test_too_many_tries_say_how_long_to_wait(dashboard: Dashboard) -> None:
    dashboard.sessions.too_many = True
    answer = dashboard.sign_in()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")
    assert "please wait 17 s" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://elsewhere.example"},
        {"origin": "http://dashboard.example.evil.example"},
        {"origin": "http://dashboard.example", "sec-fetch-site": "cross-site"},
        {"origin": "http://dashboard.example", "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_a_form_from_another_site_does_nothing(signed_in: Dashboard, headers: dict[str, str]) -> None:
    before = dict(signed_in.sessions.open)
    for answer in (signed_in.sign_in(headers=headers), signed_in.ask("POST", "/dashboard/sign-out", headers=headers)):
        assert answer.status_code == 403
        assert ELSEWHERE in answer.text
    assert signed_in.sessions.open == before


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"email=%FF%FE&password=%ED%A0%80", "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1&&&==", "application/x-www-form-urlencoded"),
        (b'{"email": 1}', "application/json"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="email"; filename="f"\r\n\r\nfile\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"&".join(b"a=1" for _ in range(5_000)), "application/x-www-form-urlencoded"),
        (b"email=" + b"x" * 300_000, "application/x-www-form-urlencoded"),
    ],
)
def test_a_form_that_is_none_is_refused(dashboard: Dashboard, body: bytes, kind: str) -> None:
    answer = dashboard.ask("POST", "/dashboard/sign-in", content=body, headers=HERE | {"content-type": kind})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("token", ["x", "", "'; DROP TABLE sessions; --", quote("é")])
def test_a_cookie_of_anyone_else_is_no_session(dashboard: Dashboard, token: str) -> None:
    answer = dashboard.ask("GET", "/dashboard", headers={"cookie": f"{COOKIE}={token}"})
    assert answer.status_code == 303


def test_each_part_is_missing_by_itself(signed_in: Dashboard) -> None:
    signed_in.queue.found = AWAY
    signed_in.releases.found = AWAY
    signed_in.cache_away = ConnectionRefusedError("Connect call failed")
    signed_in.records.slow = ProgrammingError("SELECT secret", {}, Exception("canceling statement"))
    text = signed_in.look()
    for sentence in (
        "The queue cannot be reached: EndpointConnectionError",
        "The release cannot be read: EndpointConnectionError",
        "Redis cannot be reached; everything takes longer: ConnectionRefusedError",
        "The trends cannot be read: Exception: canceling statement.",
    ):
        assert sentence in text
    assert "SELECT secret" not in text
    assert "worker-1" in text


def test_a_part_that_takes_too_long_is_missing(signed_in: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr("app.dashboard.overview.PART_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(signed_in.queue, "depth", never)
    assert "The queue cannot be reached: no answer within 0.05 s." in signed_in.look()


def test_without_its_setting_the_release_says_so(signed_in: Dashboard) -> None:
    signed_in.releases.found = None
    assert "VERIFIED_PARAMETER is not set" in signed_in.look()
    signed_in.releases.found = ()
    assert "The first release is still to be verified." in signed_in.look()
    signed_in.releases.found = ReleaseError("the parameter holds no verified release (KeyError)")
    assert "The release cannot be read: the parameter holds no verified release (KeyError)." in signed_in.look()


def test_no_worker_is_fine_as_long_as_nothing_waits(signed_in: Dashboard) -> None:
    signed_in.records.found_workers = []
    text = signed_in.look()
    assert "None has been seen in the last 24 hours" in text
    assert 'class="tile warn"><dt>Jobs waiting' in text


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/sign-in"])
def test_without_the_database_there_is_one_page_that_tries_again(signed_in: Dashboard, path: str) -> None:
    for broken in (signed_in.records, signed_in.sessions):
        broken.away = ConnectionRefusedError("postgres")  # type: ignore[attr-defined]
    answer = signed_in.ask("GET", path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "The database is away" in answer.text
    assert 'http-equiv="refresh" content="10"' in answer.text


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_in_the_page_needs_what_its_policy_forbids(signed_in: Dashboard) -> None:
    answer = signed_in.ask("GET", "/dashboard")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    tags = Tags(answer.text).found
    assert sum(tag == "svg" for tag, _ in tags) == 4
    for tag, attributes in tags:
        assert tag not in ("script", "style", "iframe", "object", "desc")
        for name, value in attributes.items():
            assert name != "style"
            assert not name.startswith("on")
            if name in ("href", "src", "action"):
                assert (value or "").startswith("/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "&lt;b&gt;lipids&lt;/b&gt;" in answer.text


def test_every_page_goes_out_with_its_headers(signed_in: Dashboard) -> None:
    for path in ("/dashboard", "/dashboard/nothing", "/dashboard/sign-in"):
        headers = signed_in.ask("GET", path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_style_sheet_is_kept_for_ever_under_its_address(signed_in: Dashboard) -> None:
    (address,) = [
        attributes["href"]
        for tag, attributes in Tags(signed_in.look()).found
        if tag == "link" and attributes["rel"] == "stylesheet"
    ]
    answer = signed_in.ask("GET", str(address))
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert "url(" not in answer.text
    assert "@import" not in answer.text


def test_what_is_not_there_is_a_page_too(dashboard: Dashboard) -> None:
    answer = dashboard.ask("GET", "/dashboard/nothing")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text
    assert dashboard.ask("DELETE", "/dashboard/sign-in").status_code == 405
    assert dashboard.ask("GET", "/dashboard/sign-out").status_code == 405


def test_it_is_alive_without_anything_and_ready_with_the_database(dashboard: Dashboard) -> None:
    dashboard.records.away = ConnectionRefusedError("postgres")
    for path in ("/health", "/dashboard/health"):
        assert dashboard.ask("GET", path).json() == {"status": "ok"}
    assert dashboard.ask("GET", "/ready").status_code == 503
    dashboard.records.away = None
    assert dashboard.ask("GET", "/ready").status_code == 200
