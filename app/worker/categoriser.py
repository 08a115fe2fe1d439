"""A lab test's name to its category: kernel ridge regression over prototypes, `unknown` below a threshold.

Prototypes are the names in categories.json, and texts that are no lab test's name, embedded by the image's
own model when the image is built. Vectors are centred first: encoders that were not trained for similarity
(BioBERT) put all text into one narrow cone. Each prototype then speaks for every category, by a weight that is
solved for once, at build: the nearest prototype alone mistakes the long tail of "... [Mass/volume] in Serum or
Plasma" for what was measured (on the development set: 88 % right against 94 %). The threshold is calibrated at the
same time, because what counts as near differs from model to model.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.worker.encoder import Embeds, Vectors

UNKNOWN = "unknown"
CATEGORIES = Path(__file__).with_name("categories.json")


# The kernel is exp(SHARPNESS * (cosine - 1)); RIDGE is what each prototype may be missed by. Both chosen on the
# development set (tests/app/worker/labelled), where a third or three times of either is as good within 1 %.
SHARPNESS = 1.0
RIDGE = 0.1
# The share of left-out names that the threshold keeps. The prototypes are the names that the others do not get right
# already (tests/app/worker/labelled), so of names as they come it keeps more.
KEPT = 0.9


@dataclass(frozen=True)
class Prototypes:
    """What a model says to categories.json.

    `vectors[i]`, centred and of unit length, stands for `labels[i]`; `weights[i]` is what it says to each of
    `classes` (the categories and `unknown`), from where `bias` begins. `threshold` is a confidence.
    """

    labels: tuple[str, ...]
    vectors: Vectors
    center: Vectors
    classes: tuple[str, ...]
    weights: Vectors
    bias: Vectors
    threshold: float

    def save(self, folder: Path) -> None:
        """Write prototypes.npy (the center is its first row), weights.npy (the bias is) and prototypes.json."""
        np.save(folder / "prototypes.npy", np.concatenate([self.center[None], self.vectors]))
        np.save(folder / "weights.npy", np.concatenate([self.bias[None], self.weights]))
        saved = {"threshold": self.threshold, "classes": self.classes, "labels": self.labels}
        (folder / "prototypes.json").write_text(json.dumps(saved, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Prototypes":
        """What `save` wrote."""
        vectors: Vectors = np.load(folder / "prototypes.npy")
        weights: Vectors = np.load(folder / "weights.npy")
        saved = json.loads((folder / "prototypes.json").read_text())
        return cls(
            tuple(saved["labels"]),
            vectors[1:],
            vectors[0],
            tuple(saved["classes"]),
            weights[1:],
            weights[0],
            saved["threshold"],
        )


@dataclass(frozen=True)
class Category:
    """The category of one name. `confidence`: how far its score is above that of `unknown`, held to 0-1."""

    name: str
    confidence: float


def centred(vectors: Vectors, center: Vectors) -> Vectors:
    """The vectors as seen from `center`, at unit length."""
    moved = vectors - center
    unit = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit, dtype=np.float32)


def read_categories(path: Path = CATEGORIES) -> dict[str, Any]:
    """`categories` (a name and its synonyms) and `unrelated` (texts that belong to none of them)."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def make_prototypes(encoder: Embeds, curated: dict[str, Any]) -> Prototypes:
    """Embed every synonym and every unrelated text, solve for the weights, and find the threshold.

    For the threshold each text is scored as if it were not in the list: a regression knows that without being
    solved again.
    """
    pairs = [(label, name) for label, names in curated["categories"].items() for name in names]
    pairs += [(UNKNOWN, text) for text in curated["unrelated"]]
    labels = np.array([label for label, _ in pairs])
    classes = (*curated["categories"], UNKNOWN)
    vectors = encoder.embed([name for _, name in pairs])
    center = np.asarray(vectors.mean(axis=0), dtype=np.float32)
    vectors = centred(vectors, center)

    wanted = (labels[:, None] == np.array(classes)).astype(np.float64)
    bias = wanted.mean(axis=0)
    inverse = np.linalg.inv(kernel(vectors, vectors).astype(np.float64) + RIDGE * np.eye(len(pairs)))
    weights = inverse @ (wanted - bias)
    confidences = above_unknown(wanted - weights / inverse.diagonal()[:, None])
    return Prototypes(
        tuple(labels.tolist()),
        vectors,
        center,
        classes,
        weights.astype(np.float32),
        bias.astype(np.float32),
        threshold_for(confidences[labels != UNKNOWN]),
    )


def kernel(one: Vectors, other: Vectors) -> Vectors:
    """How near each vector is to each other one: 1 for the same direction, towards 0 for the opposite."""
    return np.asarray(np.exp(SHARPNESS * (one @ other.T - 1)), dtype=np.float32)


def above_unknown(scores: NDArray[Any]) -> Vectors:
    """The confidences: how far the best category's score is above that of `unknown`, the last column; 0-1."""
    return np.asarray(np.clip(scores[:, :-1].max(axis=1) - scores[:, -1], 0, 1), dtype=np.float32)


def threshold_for(confidences: Vectors) -> float:
    """The threshold that keeps KEPT of the names that these are the confidences of, each left out of the list."""
    return round(float(np.quantile(confidences, 1 - KEPT)), 3)


class Categoriser:
    """Categories for names, by one encoder and the prototypes made with it."""

    def __init__(self, encoder: Embeds, prototypes: Prototypes) -> None:
        self._encoder = encoder
        self._prototypes = prototypes

    def categorise(self, names: Sequence[str]) -> list[Category]:
        """A category for each name, in order."""
        if not names:
            return []
        vectors = centred(self._encoder.embed(names), self._prototypes.center)
        scores = kernel(vectors, self._prototypes.vectors) @ self._prototypes.weights + self._prototypes.bias
        best = scores[:, :-1].argmax(axis=1)
        return [self._category(int(at), float(sure)) for at, sure in zip(best, above_unknown(scores), strict=True)]

    def _category(self, best: int, confidence: float) -> Category:
        sure = confidence > 0 and confidence >= self._prototypes.threshold
        return Category(self._prototypes.classes[best] if sure else UNKNOWN, round(confidence, 4))
