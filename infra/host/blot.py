"""Blot the values of secrets out of a text that leaves the host: a verdict, a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

BLOT = "***"
FEWEST_CHARACTERS = 6
"""Shorter values are left: they would blot out ordinary words."""
LINE_END = r"(?:\r?\n[ \t]*)?"
"""Any program may have broken a long value into lines."""


def blot(text: str, values: Iterable[str]) -> str:
    """Return a text without the values, and without the passwords of those that are addresses; it keeps its line feeds.

    Plain or percent-encoded or escaped as in JSON, and also if line ends divide them.
    """
    forms = {form for value in values for part in _parts(value) for form in _forms(part)}
    # A plain search first: it is 100 times faster than the expression, which few texts need.
    solid = _solid(text)
    # The longest first: an address goes as a whole, and not only its password.
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        if len(form) >= FEWEST_CHARACTERS and _solid(form) in solid:
            text = re.sub(LINE_END.join(map(re.escape, form)), _blotted, text, flags=re.IGNORECASE)
    return text


def _solid(text: str) -> str:
    """Return a text without differences of case, and without all that may divide a value."""
    for space in "\r\n\t ":
        text = text.replace(space, "")
    return text.casefold()


def _blotted(found: re.Match[str]) -> str:
    return BLOT + "\n" * found[0].count("\n")


def _parts(value: str) -> Iterator[str]:
    """Yield a value, and its password if it is an address."""
    yield value
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password:
        yield password


def _forms(part: str) -> Iterator[str]:
    plain = unquote(part)
    yield from (part, plain, quote(plain, safe=""), quote_plus(plain), json.dumps(part)[1:-1])
