"""A report's text to entities: which lab tests it speaks of, where, and what was measured.

Candidates are runs of 1 to MOST_WORDS words that no punctuation, number or ordinary word of a report interrupts. The
encoder that categorises names embeds each once; what is near enough to a prototype stays, and of those that overlap
the best. No list of names is searched for: a spelling that nobody wrote down is found as long as the model knows it.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.common.names import normalise
from app.worker.categoriser import UNKNOWN, Category
from app.worker.encoder import BATCH
from app.worker.measurement import Measurement, is_unit, measurement_after
from app.worker.words import INSIDE, ORDINARY

MOST_WORDS = 5
MOST_CHARACTERS = 80
# Different candidates in one report. At half a core BERT-base embeds about 80 a second, so this is half a minute.
MOST_CANDIDATES = 2000
# Added to a span's confidence for each word after its first, when spans that overlap are compared: "LDL cholesterol"
# is what is meant, though "cholesterol" alone is as near to a prototype of its own.
FOR_EACH_WORD = 0.15
# And for a value that follows: "platelet count 62" is one name.
FOR_A_VALUE = 0.1
# A name that no value follows, or one without a unit, is taken at these confidences only: in running text many words
# are a little like a test's name, and many numbers count something else.
LEAST_WITHOUT_VALUE = 0.7
LEAST_WITHOUT_UNIT = 0.5

log = logging.getLogger(__name__)

_WORD = re.compile(r"[^\W_]+(?:[-'\u2019/.][^\W_]+)*\+?")
_NUMBER = re.compile(r"\d+(?:[.,/-]\d+)*")
# What may stand between two words of one name.
_JOINS = re.compile(r"[ \t\u00a0]{1,2}|[ \t]?-[ \t]?")


@dataclass(frozen=True)
class Entity:
    """A test that a report speaks of: `body[starts_at:ends_at]` is `found`. `confidence` is the category's, 0-1."""

    starts_at: int
    ends_at: int
    found: str
    category: str
    confidence: float
    measurement: Measurement | None


@dataclass(frozen=True)
class Span:
    """A candidate: characters of the body, and how many words they hold."""

    starts_at: int
    ends_at: int
    words: int


class Categorises(Protocol):
    """What knows the category of a name."""

    def categorise(self, names: Sequence[str]) -> list[Category]:
        """A category for each name, in order."""


def candidates(body: str) -> Iterator[Span]:
    """Every span that may be a test's name, in the order of the text, the shorter ones of a start first."""
    words = list(_WORD.finditer(body))
    for first, word in enumerate(words):
        if word[0].casefold() in ORDINARY or _NUMBER.fullmatch(word[0]) or is_unit(body, word.start()):
            continue
        for last in range(first, min(first + MOST_WORDS, len(words))):
            end = words[last]
            if last > first and not _JOINS.fullmatch(body, words[last - 1].end(), end.start()):
                break
            spelt = end[0].casefold()
            # "CA 125" and "factor 8": a short whole number belongs to the short word before it, and ends the name.
            numbered = _NUMBER.fullmatch(end[0]) is not None
            if numbered and (last != first + 1 or not _takes_number(word[0], end[0])):
                break
            if _ordinary(end[0]) and spelt not in INSIDE:
                break
            if end.end() - word.start() > MOST_CHARACTERS:
                break
            if spelt not in INSIDE and _has_letters(body[word.start() : end.end()]):
                yield Span(word.start(), end.end(), last - first + 1)
            if numbered:
                break


def _ordinary(word: str) -> bool:
    """Of a name's later words: "vitamin A" ends with no article."""
    return word.casefold() in ORDINARY and not (len(word) == 1 and word.isupper())


def _takes_number(word: str, number: str) -> bool:
    return (
        number.isdigit() and len(number) <= 3 and (word.casefold() == "factor" or (len(word) == 2 and word.isupper()))
    )


def _has_letters(text: str) -> bool:
    return sum(character.isalpha() for character in text) >= 2 or text in ("K", "Na", "K+")


class Extractor:
    """Entities by one categoriser. `between_batches` is called before each BATCH of names, and may raise to stop."""

    def __init__(self, categoriser: Categorises) -> None:
        self._categoriser = categoriser

    def extract(self, body: str, between_batches: Callable[[], None] = lambda: None) -> list[Entity]:
        """The entities of a report, in the order of the text; none overlaps another."""
        spans = list(candidates(body))
        values = {span: measurement_after(body, span.ends_at) for span in spans}
        names = self._names(body, spans, values)
        categories: dict[str, Category] = {}
        for start in range(0, len(names), BATCH):
            between_batches()
            batch = names[start : start + BATCH]
            categories.update(zip(batch, self._categoriser.categorise(batch), strict=True))
        scored = [
            (category, span, values[span])
            for span in spans
            if (category := categories.get(_key(body, span))) and _good(category, values[span])
        ]
        return _apart(body, scored)

    def _names(self, body: str, spans: list[Span], values: dict[Span, Measurement | None]) -> list[str]:
        """Each different name once. Where there are too many: those with a value, then the shorter ones."""
        ordered = sorted(spans, key=lambda span: (values[span] is None, span.words))
        names = list(dict.fromkeys(_key(body, span) for span in ordered))
        if len(names) > MOST_CANDIDATES:
            log.warning("a report has too many candidates", extra={"candidates": len(names), "kept": MOST_CANDIDATES})
        return names[:MOST_CANDIDATES]


def _key(body: str, span: Span) -> str:
    return normalise(body[span.starts_at : span.ends_at])


def _good(category: Category, value: Measurement | None) -> bool:
    if category.name == UNKNOWN or value is None:
        return category.name != UNKNOWN and category.confidence >= LEAST_WITHOUT_VALUE
    return value.unit is not None or category.confidence >= LEAST_WITHOUT_UNIT


def _apart(body: str, scored: list[tuple[Category, Span, Measurement | None]]) -> list[Entity]:
    """The best of those that overlap or share a value, by confidence, length and value; of two alike, the earlier."""

    def weight(one: tuple[Category, Span, Measurement | None]) -> float:
        category, span, value = one
        return category.confidence + FOR_EACH_WORD * (span.words - 1) + FOR_A_VALUE * (value is not None)

    ordered = sorted(scored, key=lambda one: (-weight(one), one[1].starts_at))
    taken: list[Entity] = []
    for category, span, value in ordered:
        apart = all(span.ends_at <= other.starts_at or span.starts_at >= other.ends_at for other in taken)
        if apart and (value is None or all(value != other.measurement for other in taken)):
            found = body[span.starts_at : span.ends_at]
            taken.append(Entity(span.starts_at, span.ends_at, found, category.name, category.confidence, value))
    return sorted(taken, key=lambda entity: entity.starts_at)
