"""HTML, and the headers that it goes out with."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Response, status
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.dashboard import plots
from app.dashboard.overview import Overview

HERE = Path(__file__).resolve().parent
STYLE_SHEET = (HERE / "dashboard.css").read_text()
ICON = (HERE / "icon.svg").read_text()
STYLE_VERSION = hashlib.sha256(STYLE_SHEET.encode()).hexdigest()[:12]
"""In the style sheet's address, so that browsers keep it for ever and still see the next one."""

REFRESH_SECONDS = 30
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: with it browsers send `Origin: null`, and the forms' check needs the origin.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
FOR_EVER = "public, max-age=31536000, immutable"


def age(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def moment(at: datetime) -> str:
    """A time in UTC, as the whole page has it."""
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M}"


def number(value: int) -> str:
    """A count with a narrow space between thousands."""
    return f"{value:,}".replace(",", "\u202f")


TEMPLATES = Environment(
    loader=PackageLoader("app.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(age=age, moment=moment, number=number, category=plots.name)
TEMPLATES.globals.update(plots=plots, style_version=STYLE_VERSION, refresh_seconds=REFRESH_SECONDS)


def page(
    template: str, code: int = status.HTTP_200_OK, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page from a template."""
    content = TEMPLATES.get_template(f"{template}.html").render(values)
    return HTMLResponse(content, code, {**HEADERS, **(headers or {})})


def overview(shown: Overview, email: str) -> Response:
    """The page that this is all about."""
    return page("overview", shown=shown, email=email, since=lambda at: age((shown.at - at).total_seconds()))


def sign_in(
    code: int = status.HTTP_200_OK, problem: str = "", email: str = "", retry_after: int | None = None
) -> Response:
    """The form, with what was wrong the last time."""
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return page("sign_in", code, headers, problem=problem, typed=email)


def notice(code: int, heading: str, sentence: str, *, email: str | None = None, again: bool = False) -> Response:
    """A page with one sentence. With `email` it offers to sign out; with `again` the browser asks again by itself."""
    headers = {"Retry-After": "5"} if again else None
    return page("notice", code, headers, heading=heading, sentence=sentence, email=email, again=again)


def kept(content: str, media_type: str) -> Response:
    """A file that never changes under its address."""
    return Response(content, media_type=media_type, headers=HEADERS | {"Cache-Control": FOR_EVER})
