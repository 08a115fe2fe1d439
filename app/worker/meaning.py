"""Does a model know what words mean? Weights that are no trained model's do not."""

import numpy as np

from app.worker.categoriser import centred
from app.worker.encoder import Embeds, Vectors

# Alike in meaning and not in letters, and unlike in both.
RELATED = [
    ("kidney failure", "renal insufficiency"),
    ("heart attack", "myocardial infarction"),
    ("physician", "doctor"),
    ("high blood pressure", "hypertension"),
    ("liver inflammation", "hepatitis"),
]
UNRELATED = [
    ("kidney failure", "train timetable"),
    ("heart attack", "office furniture"),
    ("physician", "orange juice"),
    ("high blood pressure", "wooden table"),
    ("liver inflammation", "football match"),
]
# MiniLM reaches about 0.5; shuffled or random weights stay near 0.
LEAST_MARGIN = 0.1


def margin(encoder: Embeds, center: Vectors) -> float:
    """By how much, as a cosine and on the average, related pairs are nearer than unrelated ones.

    `center` is subtracted from each vector first (the prototypes' own).
    """

    def nearness(pairs: list[tuple[str, str]]) -> float:
        left = centred(encoder.embed([one for one, _ in pairs]), center)
        right = centred(encoder.embed([other for _, other in pairs]), center)
        return float((left * right).sum(axis=1).mean())

    return nearness(RELATED) - nearness(UNRELATED)


def likeness(found: Vectors, expected: Vectors) -> tuple[float, float]:
    """How like two sets of vectors for the same texts are: the least cosine of a text's two vectors, as they are and
    seen from the center of what is expected.

    The second is what tells: many encoders put all text into one narrow cone, where even a shuffled model's vectors
    are near the right ones (0.88 measured), until the center is taken out (-0.13).
    """

    def least(one: Vectors, other: Vectors) -> float:
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).min())

    center = expected.mean(axis=0)
    return least(found, expected), least(found - center, expected - center)
