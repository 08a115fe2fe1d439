"""Parse the Python files of the checkout, each once for all tests."""

import ast
import contextlib
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def tree_of(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    with no_collection():
        return ast.parse(file.read_text("utf-8"))


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Hold back the garbage collector while a file is parsed.

    It runs finalizers of other tests. If one of them parses too, Python 3.11.7 fails the first parse with "AST
    constructor recursion depth mismatch" (python/cpython#106905).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
