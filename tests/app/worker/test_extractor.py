"""Entities in reports, with a categoriser small enough to follow; tests/images/test_models.py has the real one."""

from collections.abc import Sequence

import pytest

from app.common.names import normalise
from app.worker.categoriser import UNKNOWN, Category
from app.worker.extractor import MOST_CANDIDATES, MOST_WORDS, Extractor, candidates

KNOWN = {
    "cholesterol": ("lipids", 0.99),
    "ldl cholesterol": ("lipids", 0.98),
    "ferritin": ("iron", 0.95),
    "iron": ("iron", 0.6),
    "troponin i": ("cardiac", 0.95),
    "troponin": ("cardiac", 0.97),
    "platelet": ("blood_count", 0.97),
    "platelet count": ("blood_count", 0.97),
    "count": ("blood_count", 0.5),
    "albumin to creatinine ratio": ("urinalysis", 0.9),
    "ca 125": ("tumor_markers", 0.9),
    "vitamin a": ("vitamins", 0.9),
}


class Listed:
    """Knows the names in KNOWN; counts what it is asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def categorise(self, names: Sequence[str]) -> list[Category]:
        self.batches.append(list(names))
        return [Category(*KNOWN.get(normalise(name), (UNKNOWN, 0.2))) for name in names]


def found(body: str) -> list[tuple[str, str, float | None]]:
    entities = Extractor(Listed()).extract(body)
    for entity in entities:
        assert body[entity.starts_at : entity.ends_at] == entity.found
    return [(entity.found, entity.category, entity.measurement and entity.measurement.value) for entity in entities]


def spans(body: str) -> list[str]:
    return [body[span.starts_at : span.ends_at] for span in candidates(body)]


def test_names_are_found_where_they_stand_with_their_values() -> None:
    body = "Iron studies: Ferritin 8 ng/mL. LDL cholesterol was 162 mg/dL."
    assert found(body) == [("Ferritin", "iron", 8), ("LDL cholesterol", "lipids", 162)]


def test_offsets_count_characters_whatever_the_script() -> None:
    entities = Extractor(Listed()).extract("Ünïcödé ☃ ñ: ferritin 8 ng/mL")
    assert [(entity.starts_at, entity.ends_at) for entity in entities] == [(13, 21)]


def test_of_names_that_overlap_the_longer_is_taken_where_both_are_near() -> None:
    assert found("LDL cholesterol 162 mg/dL") == [("LDL cholesterol", "lipids", 162)]


def test_a_name_may_end_in_a_capital_letter() -> None:
    assert found("Troponin I 0.09 ng/mL; vitamin A 0.3 mg/L") == [
        ("Troponin I", "cardiac", 0.09),
        ("vitamin A", "vitamins", 0.3),
    ]


def test_a_value_belongs_to_one_name_alone() -> None:
    assert found("platelet count 62 x10^9/L") == [("platelet count", "blood_count", 62)]


def test_a_name_without_a_value_must_be_nearer() -> None:
    assert found("Take iron with food. Ferritin to be repeated.") == [("Ferritin", "iron", None)]


def test_a_report_without_tests_has_no_entities() -> None:
    assert found("The knee is swollen. Next visit on 14/03/2025.") == []
    assert found("") == []
    assert found(" \n\t 12 . ; 7") == []


def test_candidates_end_at_punctuation_lines_numbers_and_ordinary_words() -> None:
    assert spans("serum iron, ferritin") == ["serum", "serum iron", "iron", "ferritin"]
    assert spans("serum\niron") == ["serum", "iron"]
    assert spans("iron was ferritin") == ["iron", "ferritin"]
    assert spans("iron 30 ferritin") == ["iron", "ferritin"]


def test_small_words_are_within_a_name_and_never_at_its_ends() -> None:
    assert spans("albumin to creatinine ratio")[:3] == [
        "albumin",
        "albumin to creatinine",
        "albumin to creatinine ratio",
    ]
    assert found("albumin to creatinine ratio 4.1 mg/mmol") == [("albumin to creatinine ratio", "urinalysis", 4.1)]


def test_a_number_that_is_part_of_a_name_stays_in_it() -> None:
    assert found("CA 125 310 U/mL") == [("CA 125", "tumor_markers", 310)]


def test_no_candidate_is_longer_than_five_words() -> None:
    assert (
        max(len(span.split()) for span in spans("one serum ferritin iron transferrin copper zinc lead")) == MOST_WORDS
    )


def test_each_name_is_embedded_once_eight_at_a_time() -> None:
    listed = Listed()
    Extractor(listed).extract("Ferritin 8 ng/mL. " * 50 + "copper, zinc, lead, nickel, silver, gold, tin, neon, argon")
    asked = [name for batch in listed.batches for name in batch]
    assert len(asked) == len(set(asked)) == 10
    assert [len(batch) for batch in listed.batches] == [8, 2]


def test_the_longest_report_has_a_bounded_number_of_candidates() -> None:
    listed = Listed()
    words = " ".join(f"w{chr(97 + number % 26)}{number}x" for number in range(4000))[:19_970]
    body = f"{words}. Ferritin 8 ng/mL"
    entities = Extractor(listed).extract(body)
    assert sum(map(len, listed.batches)) == MOST_CANDIDATES
    assert [entity.found for entity in entities] == ["Ferritin"], "names with a value come first"


def test_a_stop_is_asked_for_before_each_batch() -> None:
    class Halt(Exception):  # noqa: N818 - not an error
        pass

    asked: list[int] = []

    def stop_at_the_second() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise Halt

    listed = Listed()
    with pytest.raises(Halt):
        Extractor(listed).extract(" , ".join(f"name{chr(97 + at)}" for at in range(20)), stop_at_the_second)
    assert len(listed.batches) == 1
