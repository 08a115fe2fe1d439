"""Results are kept after each measurement, apart from those of other commits and machines."""

from pathlib import Path

import pytest

from bench.plan import LOCAL, OURS, Step
from bench.results import Results
from devcloud.util.console import UserError

FACTS = {"commit": "abc1234", "machine": "2 cores"}


def add(results: Results, run: int, seconds: float) -> None:
    """Add a measurement of a cold build."""
    results.add(Step(LOCAL, OURS, "cold", run), {"seconds": seconds}, "2026-11-25T10:00:00Z")


def test_a_run_that_ended_early_goes_on_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "bench" / "results.json"
    results = Results(file, FACTS)
    add(results, 1, 4.0)
    add(results, 2, 5.0)
    again = Results(file, FACTS)
    assert again.done == {Step(LOCAL, OURS, "cold", 1), Step(LOCAL, OURS, "cold", 2)}
    assert again.values(LOCAL, OURS, "cold", "seconds") == [4.0, 5.0]
    assert again.values(LOCAL, OURS, "cold", "pushed") == []
    assert [path.name for path in file.parent.iterdir()] == ["results.json"]


def test_figures_of_another_commit_are_not_mixed_in(tmp_path: Path) -> None:
    add(Results(tmp_path / "results.json", FACTS), 1, 4.0)
    with pytest.raises(UserError, match=r"figures of another commit: delete it to begin again"):
        Results(tmp_path / "results.json", {**FACTS, "commit": "def5678"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', "{broken"])
def test_a_file_that_holds_no_results_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(UserError, match="is not a results file of this bench"):
        Results(file, FACTS)


def test_results_are_read_with_their_facts_and_missing_ones_are_refused(tmp_path: Path) -> None:
    add(Results(tmp_path / "results.json", FACTS), 1, 4.0)
    assert Results.load(tmp_path / "results.json").facts == FACTS
    with pytest.raises(UserError, match="There are no results in"):
        Results.load(tmp_path / "other.json")


def test_a_person_s_note_stays_with_the_figures(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", FACTS)
    results.facts["note"] = "another cloud ran beside"
    add(results, 1, 4.0)
    assert Results(tmp_path / "results.json", FACTS).facts["note"] == "another cloud ran beside"
