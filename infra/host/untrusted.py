"""Read text that others wrote, such as a log or an answer. Unreadable text counts as empty: it cannot stop a job."""

from __future__ import annotations

import json
from typing import Any

MOST_CHARACTERS = 20_000
"""The longest JSON text that is read: the time for a number grows with the square of its digits."""


def json_object(text: str) -> dict[str, Any]:
    """Return the object that a text of JSON holds; an empty one for anything else, also for too deep a text."""
    try:
        found = json.loads(text) if len(text) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}
