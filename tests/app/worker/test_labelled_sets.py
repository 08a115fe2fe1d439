"""The labelled sets are what labelled/README.md says: large, varied, apart from each other and from the prototypes."""

import hashlib
from collections import Counter

import pytest

from app.common.names import normalise
from app.worker.categoriser import UNKNOWN, read_categories
from tests.app.worker.accuracy import FOLDER, Labelled, StringMatch, measure, read, without_tail

HELD_OUT_SHA256 = "d31a8b1b101d7e1a0facc9fb3c53e28e58f3665aca78c481256447ba530fb222"
MOST_PROTOTYPES = 1_500
"""They are embedded at build and held in memory: for BERT-base 4.6 MB."""


def names(labelled: list[Labelled]) -> list[str]:
    return [normalise(row.name) for row in labelled]


def prototypes() -> list[str]:
    curated = read_categories()
    listed = [name for names in curated["categories"].values() for name in names]
    return [normalise(name) for name in [*listed, *curated["unrelated"]]]


def test_the_held_out_set_is_the_one_that_was_written_before_the_prototypes() -> None:
    assert hashlib.sha256((FOLDER / "held_out.json").read_bytes()).hexdigest() == HELD_OUT_SHA256


def test_the_held_out_set_is_large_and_varied() -> None:
    rows = read("held_out")
    known = Counter(row.category for row in rows if row.category != UNKNOWN)
    assert known.total() >= 300
    assert len(known) >= 20
    assert min(known.values()) >= 15
    assert len(rows) - known.total() >= 60
    kinds = Counter(row.kind for row in rows if row.category != UNKNOWN)
    assert all(kinds[kind] >= 20 for kind in ("loinc", "plain", "abbreviation", "misspelling", "foreign", "ward"))


def test_the_development_set_is_large_enough_to_tune_on() -> None:
    rows = read("development")
    assert sum(row.category != UNKNOWN for row in rows) >= 200
    assert sum(row.category == UNKNOWN for row in rows) >= 60


@pytest.mark.parametrize("name", ["held_out", "development"])
def test_no_labelled_name_is_a_prototype(name: str) -> None:
    assert set(names(read(name))) & set(prototypes()) == set()


def test_no_name_is_both_held_out_and_used_for_development() -> None:
    assert set(names(read("held_out"))) & set(names(read("development"))) == set()


@pytest.mark.parametrize("name", ["held_out", "development"])
def test_each_name_is_there_once_and_has_a_category_that_exists(name: str) -> None:
    rows = read(name)
    assert len(set(names(rows))) == len(rows)
    assert {row.category for row in rows} == {*read_categories()["categories"], UNKNOWN}


def test_there_are_no_more_prototypes_than_half_a_core_can_start_with() -> None:
    assert len(prototypes()) <= MOST_PROTOTYPES


def test_accuracy_counts_names_and_unknowns_apart_and_a_refused_name_as_wrong() -> None:
    rows = [
        Labelled("ldl", "lipids", "plain"),
        Labelled("hdl", "lipids", "plain"),
        Labelled("a1c", "diabetes", "abbreviation"),
        Labelled("invoice", UNKNOWN, "everyday"),
    ]
    found = measure(rows, {"ldl": "lipids", "hdl": UNKNOWN, "a1c": "diabetes", "invoice": "lipids"})
    assert found.top1 == pytest.approx(2 / 3)
    assert found.refused == 0
    assert found.by_category == {"lipids": 0.5, "diabetes": 1.0}
    assert found.by_kind == {"plain": 0.5, "abbreviation": 1.0, "everyday": 0.0}
    assert found.wrong == {"hdl": ("lipids", UNKNOWN), "invoice": (UNKNOWN, "lipids")}


def test_the_baseline_takes_the_prototype_whose_letters_are_most_alike() -> None:
    curated = {
        "categories": {"lipids": ["cholesterol", "cholesterin"], "thyroid": ["thyroxine", "thyroxin"]},
        "unrelated": ["invoice"],
    }
    found = StringMatch(curated).categorise(["cholestrol", "Thyroxin e", "invoices", "zzz"])
    assert found == {"cholestrol": "lipids", "Thyroxin e": "thyroid", "invoices": UNKNOWN, "zzz": UNKNOWN}


def test_the_tail_of_a_loinc_name_can_be_cut_off_for_the_baseline() -> None:
    cut = [without_tail("Glucose [Mass/volume] in Serum or Plasma --fasting"), without_tail("pH of Arterial blood")]
    assert [normalise(name) for name in cut] == ["glucose", "ph"]
