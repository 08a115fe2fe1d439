"""Ordinary words of reports: what is no part of a test's name."""

from pathlib import Path

# Small words that may be within a name; no name starts or ends with them, nor holds any other ordinary word.
INSIDE = frozenset(("of", "in", "to", "for", "and", "by", "with"))
ORDINARY = INSIDE | frozenset(Path(__file__).with_name("ordinary_words.txt").read_text(encoding="utf-8").split())
