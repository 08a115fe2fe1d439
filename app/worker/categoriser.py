"""A lab test's name to its category: the nearest prototype by cosine, `unknown` below a threshold.

Prototypes are the names in categories.json, and texts that are no lab test's name, embedded by the image's
own model when the image is built. Vectors are centred first: encoders that were not trained for similarity
(BioBERT) put all text into one narrow cone. The threshold is calibrated at the same time, because what counts
as near differs from model to model.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.worker.encoder import Embeds, Vectors

UNKNOWN = "unknown"
CATEGORIES = Path(__file__).with_name("categories.json")


@dataclass(frozen=True)
class Prototypes:
    """`vectors[i]`, centred and of unit length, stands for `labels[i]`. `threshold` is a cosine."""

    labels: tuple[str, ...]
    vectors: Vectors
    center: Vectors
    threshold: float

    def save(self, folder: Path) -> None:
        """Write prototypes.npy (the center is its first row) and prototypes.json."""
        np.save(folder / "prototypes.npy", np.concatenate([self.center[None], self.vectors]))
        (folder / "prototypes.json").write_text(
            json.dumps({"threshold": self.threshold, "labels": self.labels}, indent=1) + "\n"
        )

    @classmethod
    def load(cls, folder: Path) -> "Prototypes":
        """What `save` wrote."""
        rows: Vectors = np.load(folder / "prototypes.npy")
        saved = json.loads((folder / "prototypes.json").read_text())
        return cls(tuple(saved["labels"]), rows[1:], rows[0], saved["threshold"])


@dataclass(frozen=True)
class Category:
    """The category of one name. `confidence`: the cosine to the nearest prototype, held to 0-1."""

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
    """Embed every synonym and every unrelated text, and find the threshold that best parts the two.

    For that, a synonym's score is its cosine to the nearest *other* one, as if it were not in the list.
    """
    pairs = [(label, name) for label, names in curated["categories"].items() for name in names]
    pairs += [(UNKNOWN, text) for text in curated["unrelated"]]
    labels = np.array([label for label, _ in pairs])
    vectors = encoder.embed([name for _, name in pairs])
    center = np.asarray(vectors.mean(axis=0), dtype=np.float32)
    vectors = centred(vectors, center)

    known = labels != UNKNOWN
    cosines = vectors @ vectors[known].T
    cosines[np.flatnonzero(known), np.arange(known.sum())] = -1.0
    nearest = cosines.max(axis=1)
    return Prototypes(tuple(labels.tolist()), vectors, center, parting(nearest[known], nearest[~known]))


def parting(inside: Vectors, outside: Vectors) -> float:
    """The threshold at which the share of `inside` kept and of `outside` refused are best together."""
    candidates = np.unique(np.concatenate([inside, outside]))
    gains = [float((inside >= at).mean() + (outside < at).mean()) for at in candidates]
    return round(float(candidates[int(np.argmax(gains))]), 3)


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
        scores = vectors @ self._prototypes.vectors.T
        nearest = scores.argmax(axis=1)
        return [self._category(int(best), float(row[best])) for best, row in zip(nearest, scores, strict=True)]

    def _category(self, nearest: int, score: float) -> Category:
        name = self._prototypes.labels[nearest] if score >= self._prototypes.threshold else UNKNOWN
        return Category(name, round(min(max(score, 0.0), 1.0), 4))
