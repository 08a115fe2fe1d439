"""The page about releases under load is written by `make soak`, not by hand."""

import json

from tests.cloud.reliability import DATA, PAGE, page


def test_the_page_is_rendered_from_the_figures() -> None:
    assert PAGE.read_text() == page(json.loads(DATA.read_text()))


def test_a_figure_is_a_row_with_its_run() -> None:
    run = {"seed": 7, "date": "2026-11-28", "commit": "0123abc", "processors": 2}
    row = {"bar": 2, "fault": "exits at once", "outcome": "refused", "seconds": 20.1, "says": "a | b\nc"}
    text = page([row | run, row | run | {"fault": "other", "seconds": None}])
    assert "| 2 | exits at once | refused | 20.1 | a \\| b c | 7, 2026-11-28, 0123abc |\n" in text
    assert "| 2 | other | refused |  | a" in text
    assert "Machine: 2 processors." in text
