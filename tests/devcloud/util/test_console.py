"""The lines that a user sees."""

from devcloud.util.console import ending


def test_the_end_of_what_was_said_is_one_line() -> None:
    assert ending("a\n\nb\n c \n", lines=2) == "b / c"
    assert ending("") == "it said nothing"
