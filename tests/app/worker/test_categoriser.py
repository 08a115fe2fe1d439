"""Categories by embedding, with an encoder small enough to follow."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.common.names import normalise
from app.worker.categoriser import (
    UNKNOWN,
    Categoriser,
    Prototypes,
    make_prototypes,
    read_categories,
    threshold_for,
)
from app.worker.encoder import Vectors, pool
from app.worker.self_test import KNOWN

CURATED = {
    "categories": {
        "diabetes": ["glucose", "blood glucose", "hba1c"],
        "lipids": ["ldl", "hdl", "total ldl"],
    },
    "unrelated": ["invoice", "weather"],
}
WORDS = ({"glucose", "hba1c"}, {"ldl", "hdl"}, {"blood"}, {"total"}, {"invoice"}, {"weather"})
DIRECTIONS = {word: direction for direction, words in enumerate(WORDS) for word in words}


class WordEncoder:
    """A word has a direction; a text is the mean of its words'. Unknown words point elsewhere."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), len(WORDS) + 1), np.float32)
        for row, text in enumerate(texts):
            for word in normalise(text).split():
                rows[row, DIRECTIONS.get(word, len(WORDS))] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def categoriser() -> Categoriser:
    return Categoriser(WordEncoder(), make_prototypes(WordEncoder(), CURATED))


def test_a_name_gets_the_category_of_its_nearest_prototype(categoriser: Categoriser) -> None:
    found = categoriser.categorise(["HbA1c", "blood HbA1c", "Total_HDL"])
    assert [category.name for category in found] == ["diabetes", "diabetes", "lipids"]
    assert all(0.5 < category.confidence <= 1 for category in found)


def test_a_name_that_is_near_to_nothing_is_unknown(categoriser: Categoriser) -> None:
    assert [found.name for found in categoriser.categorise(["invoice", "something else"])] == [
        UNKNOWN,
        UNKNOWN,
    ]


def test_no_names_have_no_categories(categoriser: Categoriser) -> None:
    assert categoriser.categorise([]) == []


def test_prototypes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    made = make_prototypes(WordEncoder(), CURATED)
    made.save(tmp_path)
    loaded = Prototypes.load(tmp_path)
    assert (loaded.labels, loaded.threshold) == (made.labels, made.threshold)
    assert np.array_equal(loaded.vectors, made.vectors)
    assert np.array_equal(loaded.center, made.center)
    assert loaded.classes == made.classes
    assert np.array_equal(loaded.weights, made.weights)
    assert np.array_equal(loaded.bias, made.bias)


def test_the_threshold_keeps_nine_names_of_ten() -> None:
    confidences = np.array([0.05, *np.linspace(0.4, 0.9, 10)], np.float32)
    at = threshold_for(confidences)
    assert (confidences >= at).sum() == 10


def test_a_text_that_nothing_speaks_for_is_unknown_whatever_the_threshold() -> None:
    made = make_prototypes(WordEncoder(), CURATED)
    found = Categoriser(WordEncoder(), replace(made, threshold=0.0)).categorise(["invoice", "HbA1c"])
    assert [category.name for category in found] == [UNKNOWN, "diabetes"]


def test_names_are_told_apart_by_what_differs_and_not_by_what_they_share() -> None:
    found = make_prototypes(WordEncoder(), CURATED)
    (category,) = Categoriser(WordEncoder(), found).categorise(["total blood ldl"])
    assert category.name == "lipids"


@pytest.mark.parametrize("dimension", [3, 768])
def test_a_model_of_any_dimension_that_has_learnt_nothing_is_no_reason_to_fail(dimension: int, tmp_path: Path) -> None:
    class Noise:
        def embed(self, texts: Sequence[str]) -> Vectors:
            rows = [np.random.default_rng(list(text.encode())).normal(size=dimension) + 5 for text in texts]
            return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

    made = make_prototypes(Noise(), read_categories())
    assert 0 <= made.threshold < 1
    found = Categoriser(Noise(), made).categorise([*KNOWN, "", "x" * 200])
    assert all(0 <= category.confidence <= 1 for category in found)


def test_padding_does_not_change_a_vector() -> None:
    hidden = np.array([[[3.0, 4.0], [3.0, 4.0], [9.0, -9.0]]], np.float32)
    assert np.allclose(pool(hidden, np.array([[1, 1, 0]])), [[0.6, 0.8]])


def test_there_are_twenty_categories_with_names_of_their_own() -> None:
    curated = read_categories()
    names = [normalise(name) for names in curated["categories"].values() for name in names]
    names += [normalise(text) for text in curated["unrelated"]]
    assert len(curated["categories"]) >= 20
    assert all(len(names) >= 5 for names in curated["categories"].values())
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})


def test_the_self_test_asks_for_categories_that_exist() -> None:
    assert set(KNOWN.values()) <= set(read_categories()["categories"])
