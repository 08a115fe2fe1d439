"""Docstrings are plain English: a verb first, the subject before the condition."""

import ast
import inspect
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from infra import ROOT
from tests.sources import tree_of

RULES = ("D205", "D400", "D401")
FOLDERS = ("app", "bench", "devcloud", "images", "infra", "tests")
"""The folders whose prose is checked."""
RIDDLES = ("What", "Where", "Whoever")
"""First words of a docstring that names a thing by a riddle: "What a run keeps" for "The staged folders"."""


def excepted() -> set[str]:
    """Return the files whose prose is older than the rules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    return {path for path, rules in settings.items() if "D401" in rules}


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of a module, of its classes, functions and attributes."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield inspect.cleandoc(text)


def test_docstrings_of_modules_classes_functions_and_attributes_are_found() -> None:
    source = '''
"""M."""
class C:
    """C."""
    a: int = 1
    """A."""
    def f(self):
        """F."""
b = 2
"""B."""
'''
    assert set(docstrings(ast.parse(source))) == {"M.", "C.", "A.", "F.", "B."}


def test_every_exception_is_still_needed() -> None:
    command = [
        "ruff",
        "check",
        "--isolated",
        "--select",
        ",".join(RULES),
        "--output-format",
        "json",
        *sorted(excepted()),
    ]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)
    needed = {Path(problem["filename"]).relative_to(ROOT).as_posix() for problem in found}
    assert excepted() - needed == set(), "take them off the list in pyproject.toml"


def test_no_docstring_begins_with_a_riddle() -> None:
    older = excepted()
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py") if "node_modules" not in file.parts]
    riddles = {
        file.relative_to(ROOT).as_posix(): text
        for file in files
        if file.relative_to(ROOT).as_posix() not in older
        for text in docstrings(tree_of(file))
        if text.split(" ", 1)[0] in RIDDLES
    }
    assert riddles == {}
