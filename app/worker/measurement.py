"""The measurement that follows a test's name in a report: `HbA1c: 6.9 %`, `creatinine was 1.4 mg/dL`."""

import re
from dataclasses import dataclass

from app.worker.words import ORDINARY

# Of characters between a name and its value; beyond, the value is more likely another name's.
FARTHEST = 48
LONGEST_UNIT = 32

_ATOM = (
    "mmol|umol|µmol|μmol|nmol|pmol|mol|mEq|mOsm|mIU|uIU|µIU|μIU|kIU|IU|mU|kU|µkat|ukat|nkat|mmHg|"
    "mcg|ug|µg|μg|ng|pg|mg|kg|g|mL|uL|µL|μL|dL|fL|pL|L|mm3|mm³|mm2|mm|cells|copies|sec(?:onds?)?|min|hours?|hrs?|"
    "24 ?h|h|s|U|AU|RU|S/CO|m2|m²|1\\.73 ?m2|1\\.73 ?m²|million|thousand|ratio|hpf|HPF|K|M"
)
_POWER = "(?:[x\u00d7*] ?)?10(?:\\^|\\*\\*|\\*|[eE])?[³⁶⁹¹²0-9]{1,2}|[x\u00d7] ?10[³⁶⁹¹²]{1,2}"
_UNIT = re.compile(
    rf"(?:%|‰|(?:(?:{_POWER})? ?/ ?(?:{_ATOM})|(?:(?:{_POWER}) ?)?(?:{_ATOM}))(?: ?/ ?(?:{_ATOM}))*)(?![A-Za-z0-9µμ])",
    re.IGNORECASE,
)
# Words and signs that may stand between a name and its value. "now", "today" and the like say when, not what.
_BETWEEN = re.compile(
    r"(?:\s+|[:=,~≈]|\([^()\n\d]{0,30}\)|"
    r"(?:is|are|was|were|of|at|to|level|levels|value|values|result|results|count|measured|reported|came|back|as|up|down|"
    r"again|now|today|currently|still|elevated|raised|increased|high|higher|low|lower|reduced|decreased|normal|mildly|"
    r"slightly|markedly|only|around|about|approximately|approx\.?|has|have|been|risen|rose|fell|fallen|dropped|improved|"
    r"remains|remained|stable|serum|plasma|fasting|H|L)\b)*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:[<>≤≥]=? ?)?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?)")
# After a number that is no measurement: part of a date, a range, a time, a fraction, or a count of something else.
_OTHER = re.compile(
    r"[-\u2013/:.]\d|\s?(?:-|\u2013|to)\s?\d|(?:st|nd|rd|th)\b|"
    r"\s?-?(?:days?|weeks?|months?|years?|yrs?|y/?o|times|tablets?|visits?|patients?|pm|am|o'clock)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r" ?([^\W\d_]+)")
# A mass or a volume by itself is a dose or a weight ("atorvastatin 40 mg"): what a laboratory measures has a "per".
_DOSES = frozenset(["kg", "g", "mg", "mcg", "ug", "µg", "μg", "ng", "ml", "l", "dl"])


@dataclass(frozen=True)
class Measurement:
    """What was measured. `unit` is as written, None where none follows; of a bound (`<5`) `value` is the bound. The
    number stands at `text[at]`."""

    value: float
    unit: str | None
    at: int


def measurement_after(text: str, at: int) -> Measurement | None:
    """The measurement that belongs to a name which ends at `text[at]`; None where none follows on the same line."""
    line_end = text.find("\n", at)
    window = text[at : min(line_end if line_end >= 0 else len(text), at + FARTHEST + 64)]
    between = _BETWEEN.match(window)
    start = between.end() if between else 0
    number = _NUMBER.match(window, start)
    if number is None or start > FARTHEST or start == 0:
        return None
    if _OTHER.match(window, number.end()):
        return None
    space = re.compile(" ?").match(window, number.end())
    unit = _UNIT.match(window, space.end() if space else number.end())
    # "5abc" is a code, not a value, and "3 cups" counts something else; "250K" has its unit.
    word = _WORD.match(window, number.end())
    if unit is None and word is not None and word[1].casefold() not in ORDINARY:
        return None
    if unit is not None and unit[0].casefold() in _DOSES:
        return None
    value = _value(number[1])
    if value is None:
        return None
    return Measurement(value, unit[0][:LONGEST_UNIT] if unit else None, at + number.start(1))


def is_unit(text: str, at: int) -> bool:
    """Whether the word that begins at `text[at]` is, or begins, the unit of a number before it."""
    before = text[max(at - 2, 0) : at].strip()
    return before[-1:].isdigit() and _UNIT.match(text, at) is not None


def _value(written: str) -> float | None:
    """The number as written: a comma before exactly three digits parts thousands, any other is a decimal one.

    None where that makes no number, such as "0,123,456".
    """
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", written):
        return float(written.replace(",", ""))
    decimal = written.replace(",", ".")
    return float(decimal) if decimal.count(".") <= 1 else None
