"""Sources are parsed whatever other tests have left to the garbage collector."""

import ast
import gc
from pathlib import Path

from tests.sources import tree_of


class ParsesAtItsEnd:
    """An object whose finalizer parses."""

    def __init__(self) -> None:
        # Only the garbage collector ends a cycle.
        self.itself = self

    def __del__(self) -> None:
        ast.parse("x = [1, (2, 3)]")


def test_a_finalizer_that_parses_does_not_disturb_a_parse() -> None:
    thresholds = gc.get_threshold()
    gc.set_threshold(50, 2, 2)
    try:
        for _ in range(20):
            ParsesAtItsEnd()
        assert tree_of.__wrapped__(Path(__file__)).body
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
