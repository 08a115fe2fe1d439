"""Source without comments and docstrings does the same, on the same lines."""

import ast
from pathlib import Path

import pytest

from infra.releases.bare_source import bare
from infra.releases.host_document import SOURCE

WITH = '''"""A module.

Of two paragraphs.
"""

# A comment.
from x import y  # and why

HASH = "# no comment"
"""A constant."""


def f(a: str = "b") -> str:
    """Only a docstring."""


def g() -> str:
    # Before the first statement.
    """Two
    lines."""
    return """a text"""


TEXTS = [
    "a",  # the first
    """b""",
]
'''
WITHOUT = '''""\n\n\n\n\n
from x import y

HASH = "# no comment"
""


def f(a: str = "b") -> str:
    ""


def g() -> str:

    ""

    return """a text"""


TEXTS = [
    "a",
    """b""",
]
'''


def test_comments_and_docstrings_go_and_texts_stay() -> None:
    assert bare(WITH) == WITHOUT


@pytest.mark.parametrize("file", sorted(SOURCE.glob("*.py")), ids=lambda file: str(file.name))
def test_the_hosts_program_keeps_its_code_and_lines(file: Path) -> None:
    source = file.read_text()
    before, after = ast.parse(source), ast.parse(bare(source))
    for tree in (before, after):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                node.value.value = ""
    assert ast.dump(after) == ast.dump(before)
    assert _with_lines(after) == _with_lines(before)
    assert len(bare(source)) < len(source) or source.count("\n") < 2


def _with_lines(tree: ast.AST) -> list[tuple[str, int]]:
    """Return all nodes of a tree with the lines that they begin on."""
    return [(type(node).__name__, getattr(node, "lineno", 0)) for node in ast.walk(tree)]
