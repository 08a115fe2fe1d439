"""Cursors."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.api.pages import CursorError, Place

PLACE = Place(datetime(2026, 11, 25, 8, 30, 0, 123456, tzinfo=UTC), UUID("4201ce05-7a02-4007-8297-038b5318a16c"))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_leads_back_to_its_place() -> None:
    assert Place.read(PLACE.cursor()) == PLACE


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "null",
        "ä",
        PLACE.cursor() + "=",
        PLACE.cursor()[:-4],
        encoded(f"2026-11-25T08:30:00.123456 {PLACE.id}"),
        encoded("2026-11-25T08:30:00+00:00 17"),
        encoded(f"99999-11-25T08:30:00+00:00 {PLACE.id}"),
        encoded("\x00\xff"),
        "A" * 200,
    ],
)
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError, match="The cursor is none that this list gave"):
        Place.read(cursor)
