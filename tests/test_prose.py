"""Docstrings are plain English: a verb first, the subject before the condition."""

import ast
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from infra import ROOT

RULES = ("D205", "D400", "D401")
FOLDERS = (
    "bench",
    "devcloud",
    "images",
    "infra",
    "tests/bench",
    "tests/cloud",
    "tests/devcloud",
    "tests/infra",
    "tests/products",
)
"""Where the rule holds. The product's own prose (app/) is still to be rewritten."""
RIDDLES = ("What", "Where", "Whoever")
"""First words of a docstring that names a thing by a riddle: "What a run keeps" for "The staged folders"."""


def excepted() -> set[str]:
    """Return the files whose prose is older than the rules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    return {path for path, rules in settings.items() if "D401" in rules}


def docstrings(file: Path) -> Iterator[str]:
    """Yield the docstrings of a file."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


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
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py") if "node_modules" not in file.parts]
    riddles = {
        file.relative_to(ROOT).as_posix(): text
        for file in files
        if file.relative_to(ROOT).as_posix() not in excepted()
        for text in docstrings(file)
        if text.split(" ", 1)[0] in RIDDLES
    }
    assert riddles == {}
