"""How the names of lab tests are told apart."""

from app.common.names import normalise


def test_spelling_makes_no_other_name() -> None:
    assert normalise("  HbA1c,\tWhole_Blood ") == "hba1c whole blood"
    assert normalise("\uff27lucose\u00a0\uff54est") == "glucose test"
    assert normalise("\u00b5-globulin") == normalise("\u03bc-globulin")
