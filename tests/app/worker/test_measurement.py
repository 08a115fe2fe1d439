"""The value and unit that follow a name."""

import pytest

from app.worker.measurement import measurement_after


def after_name(text: str) -> tuple[float, str | None] | None:
    """What follows the name that ends at `|`."""
    at = text.index("|")
    found = measurement_after(text.replace("|", ""), at)
    return None if found is None else (found.value, found.unit)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("HbA1c| 6.9 %", 6.9, "%"),
        ("HbA1c|: 6.9%", 6.9, "%"),
        ("HbA1c| (DCCT): 6.9% (52 mmol/mol)", 6.9, "%"),
        ("creatinine| was 1.4 mg/dL", 1.4, "mg/dL"),
        ("creatinine| = 88 µmol/L", 88, "µmol/L"),
        ("LDL cholesterol| of 162 mg/dL", 162, "mg/dL"),
        ("LDL cholesterol|, 162 mg/dL,", 162, "mg/dL"),
        ("potassium| is low at 3.1 mmol/L.", 3.1, "mmol/L"),
        ("ferritin| has risen to 45 ng/mL", 45, "ng/mL"),
        ("eGFR| 55 mL/min/1.73 m2", 55, "mL/min/1.73 m2"),
        ("WBC| 11.2 x10^9/L", 11.2, "x10^9/L"),
        ("WBC| 11.2 10*3/uL", 11.2, "10*3/uL"),
        ("WBC| 11.2 \u00d7 10\u2079/L", 11.2, "\u00d7 10\u2079/L"),
        ("platelets| 250,000/uL", 250_000, "/uL"),
        ("platelets| 250,000 /uL", 250_000, "/uL"),
        ("platelets| 250K", 250, "K"),
        ("NT-proBNP| 2,450 pg/mL", 2450, "pg/mL"),
        ("troponin I| 0,04 ng/mL", 0.04, "ng/mL"),
        ("INR| 2.6. Same dose", 2.6, None),
        ("INR| 2.6", 2.6, None),
        ("INR| 2.6 today", 2.6, None),
        ("CRP| <5 mg/L", 5, "mg/L"),
        ("TSH| > 100 mIU/L", 100, "mIU/L"),
        ("ESR| 64 mm/h, headache", 64, "mm/h"),
        ("pCO2| 58 mmHg", 58, "mmHg"),
        ("TSH| 4.2 (0.4-4.0) mIU/L", 4.2, None),
        ("MCV| 74 fL", 74, "fL"),
        ("prothrombin time| 18 s", 18, "s"),
        ("osmolality| 291 mOsm/kg", 291, "mOsm/kg"),
    ],
)
def test_a_measurement_is_read_with_its_unit(text: str, value: float, unit: str | None) -> None:
    assert after_name(text) == (value, unit)


@pytest.mark.parametrize(
    "text",
    [
        "creatinine| on 14/03/2025",
        "creatinine| 2025-03-14",
        "glucose| at 08:30",
        "sodium| 135-145 mmol/L",
        "sodium| 135 to 145 mmol/L",
        "INR| in 3 months",
        "INR| 3 weeks ago",
        "HbA1c| 2nd result",
        "atorvastatin| 40 mg daily",
        "fluid| 40 mL",
        "glucose|\n131 mg/dL",
        "glucose| see the next page",
        "glucose|",
        "vitamin| B12 142 pg/mL",
        "CA|125",
        "code| 5abc",
        "drinks| 3 cups of coffee",
        "nodes| of up to 3 cm",
        "ascites| drained, 6 litres",
        "creatinine| 0,123,456 mg/dL",
        "creatinine| 000,123.5 mg/dL",
        "ferritin|, transferrin and iron 30 ug/dL",
    ],
)
def test_what_is_no_measurement_of_this_name_is_left(text: str) -> None:
    assert after_name(text) is None


def test_the_place_of_the_number_is_told() -> None:
    found = measurement_after("CRP is < 5 mg/L", 3)
    assert found is not None
    assert found.at == 9


def test_hostile_text_takes_no_time() -> None:
    for piece in ("is ", "(", "10^", "1,", "mg/", " ", "= ", "<"):
        measurement_after("glucose" + piece * 20_000, 7)
