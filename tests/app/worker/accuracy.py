"""How right are categories against a labelled set, and how right is a string match with the same prototypes?

Pure: the categories may come from an image (tests/cloud/test_accuracy.py) or from a folder with a model:

    python -m tests.app.worker.accuracy --model FOLDER [--set development|held_out]
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from app.common.names import normalise
from app.worker.categoriser import UNKNOWN, Categoriser, Prototypes, read_categories, threshold_for
from app.worker.encoder import Encoder

FOLDER = Path(__file__).with_name("labelled")


@dataclass(frozen=True)
class Labelled:
    """A text and what it is: a category, or `unknown`; and of which kind (see labelled/README.md)."""

    name: str
    category: str
    kind: str


@dataclass(frozen=True)
class Accuracy:
    """Shares, 0-1. `wrong` names each miss with what was said."""

    top1: float
    refused: float
    by_category: Mapping[str, float]
    by_kind: Mapping[str, float]
    wrong: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        lines = [f"top-1 {self.top1:.1%} of the names, {self.refused:.1%} of the unknowns refused", "by kind:"]
        lines += [f"  {kind:<32}{share:6.1%}" for kind, share in self.by_kind.items()]
        lines += ["by category:", *(f"  {name:<32}{share:6.1%}" for name, share in self.by_category.items())]
        return "\n".join(lines)


def read(name: str) -> list[Labelled]:
    """The set `held_out` or `development`; its unknowns last."""
    found: dict[str, list[dict[str, str]]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    unknowns = [{**text, "category": UNKNOWN} for text in found["unknowns"]]
    return [Labelled(**text) for text in [*found["names"], *unknowns]]


def measure(labelled: Sequence[Labelled], said: Mapping[str, str]) -> Accuracy:
    """Accuracy of `said` (a category for each name). A known name that is refused counts as wrong."""

    def share(rows: Iterable[Labelled]) -> float:
        return float(np.mean([said[row.name] == row.category for row in rows]))

    names = [row for row in labelled if row.category != UNKNOWN]
    unknowns = [row for row in labelled if row.category == UNKNOWN]
    return Accuracy(
        share(names),
        share(unknowns),
        {found: share(row for row in names if row.category == found) for found in Counter(r.category for r in names)},
        {kind: share(row for row in labelled if row.kind == kind) for kind in Counter(r.kind for r in labelled)},
        {row.name: (row.category, said[row.name]) for row in labelled if said[row.name] != row.category},
    )


def without_tail(name: str) -> str:
    """A name without what LOINC adds to the thing measured: what of it, in what, and how."""
    name = re.sub(r"\[[^\]]*\]", " ", name)
    name = re.sub(r"\b(?:in|of) (?:\w+ )?(?:Serum|Plasma|Platelet poor plasma|[Bb]lood)\b.*", "", name)
    return re.sub(r"\bby .*|--.*", "", name)


class StringMatch:
    """The baseline: the prototype whose letters are most alike (difflib's ratio), over the same prototypes.

    Its threshold is calibrated as the categoriser's is, by the prototypes alone, each against all others.
    `prepare` is done to each name first: `without_tail` helps it over LOINC's long names, which the categoriser gets
    as they are.
    """

    def __init__(self, curated: Mapping[str, Any], prepare: Callable[[str], str] = str) -> None:
        self._prepare = prepare
        pairs = [(label, name) for label, names in curated["categories"].items() for name in names]
        pairs += [(UNKNOWN, text) for text in curated["unrelated"]]
        pairs = [(label, normalise(prepare(name))) for label, name in pairs]
        self._labels = [label for label, _ in pairs]
        self._names = [name for _, name in pairs]
        found = [self._confidence(name, but=index) for index, name in enumerate(self._names)]
        ratios = [ratio for label, (_, ratio) in zip(self._labels, found, strict=True) if label != UNKNOWN]
        self.threshold = threshold_for(np.array(ratios, np.float32))

    def categorise(self, names: Sequence[str]) -> dict[str, str]:
        """A category or `unknown` for each name."""
        found = {name: self._confidence(normalise(self._prepare(name))) for name in names}
        return {
            name: label if ratio > 0 and ratio >= self.threshold else UNKNOWN for name, (label, ratio) in found.items()
        }

    def _confidence(self, name: str, but: int = -1) -> tuple[str, float]:
        """The label of the nearest prototype, and how near; 0 where that is an unrelated text."""
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(name)
        best, label = 0.0, UNKNOWN
        for index, other in enumerate(self._names):
            if index == but:
                continue
            matcher.set_seq1(other)
            # Upper bounds, and cheap: most prototypes need no closer look.
            if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and matcher.ratio() > best:
                best, label = matcher.ratio(), self._labels[index]
        return label, 0.0 if label == UNKNOWN else best


BASELINES: Mapping[str, Callable[[str], str]] = {
    "string match": str,
    "string match without LOINC's tails": without_tail,
}


def main() -> int:
    """Print both accuracies."""
    parser = argparse.ArgumentParser(description="Measure a model's categories against a labelled set.")
    parser.add_argument("--model", type=Path, required=True, help="a folder as in the image's /opt/model")
    parser.add_argument("--set", choices=("development", "held_out"), default="development")
    parser.add_argument("--wrong", action="store_true", help="name each miss")
    asked = parser.parse_args()
    labelled = read(asked.set)
    names = [row.name for row in labelled]
    categoriser = Categoriser(Encoder(asked.model), Prototypes.load(asked.model / "prototypes"))
    categories = categoriser.categorise(names)
    found = measure(labelled, dict(zip(names, (category.name for category in categories), strict=True)))
    sys.stdout.write(f"{asked.set}: {found}\n")
    for baseline, prepare in BASELINES.items():
        matched = measure(labelled, StringMatch(read_categories(), prepare).categorise(names))
        sys.stdout.write(f"{baseline}: {matched}\n")
    if asked.wrong:
        sys.stdout.writelines(f"{name!r}: {right}, not {said}\n" for name, (right, said) in found.wrong.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
