"""Texts of others on a terminal."""

import pytest

from infra.lib.messages import plain, printable

COMMANDS = {
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "fine\rposed": r"fine\rposed",
    "\x85\x7f\x08\x0b\x00": r"\x85\x7f\x08\x0b\x00",
    "\u202eevil\u2066\u200f": r"\u202eevil\u2066\u200f",
    "\u2028\ufeff\U000e0001": r"\u2028\ufeff\U000e0001",
}
"""Texts that a terminal obeys, or that read as another, and how they are shown."""


@pytest.mark.parametrize(("text", "shown"), COMMANDS.items())
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(f"a line\n\t{text}, größer 中 🙂\n") == f"a line\n\t{shown}, größer 中 🙂\n"
    assert plain(text) == shown


def test_a_plain_text_is_one_line_that_is_cut() -> None:
    assert plain("a\nb\tc") == r"a\nb\tc"
    assert plain("x" * 10, longest=4) == "xxxx... (10 characters)"
