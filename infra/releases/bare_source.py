"""Take comments and docstrings out of Python source: an SSM document has room for little more than the code itself."""

import io
import tokenize
from collections.abc import Iterator
from functools import cache

BEFORE_A_STATEMENT = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
BETWEEN_LINES = (tokenize.NL, tokenize.COMMENT)


# An eighth of a second for the host's program, which an `up` packs several times.
@cache
def bare(source: str) -> str:
    """Return source without comments and docstrings; each statement stays on its line, for tracebacks.

    The same text for every version of Python, unlike that of `ast.unparse`.
    """
    lines = source.splitlines(keepends=True)
    for (first, start), (last, end), left in reversed(list(_left_out(source))):
        head, tail = lines[first - 1][:start], lines[last - 1][end:].lstrip(" ")
        text = f"{head}{left}".rstrip() + tail
        lines[first - 1 : last] = [text, *["\n"] * (last - first)]
    return "".join(lines)


def _left_out(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Yield where each comment and docstring begins and ends (line from 1, column from 0), and what stays there."""
    before = tokenize.NEWLINE
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == tokenize.COMMENT:
            yield token.start, token.end, ""
        elif token.type == tokenize.STRING and before in BEFORE_A_STATEMENT and _ends(following):
            # A function may have no other statement.
            yield token.start, token.end, '""'
        if token.type not in BETWEEN_LINES:
            before = token.type


def _ends(token: tokenize.TokenInfo | None) -> bool:
    """Return True if a token ends a statement."""
    return token is not None and token.type == tokenize.NEWLINE
