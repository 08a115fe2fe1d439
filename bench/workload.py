"""Say what the containers are given to do: lab panels, in the terms of this product's API and database."""

import hashlib
from typing import Any
from uuid import uuid4

PATH = "/labs"
"""The path at which panels are entered, and read by their id."""
TESTS = 8
"""Of a panel."""
NAMES = (
    *("HbA1c", "LDL cholesterol", "TSH", "serum creatinine", "ALT (SGPT)", "platelet count", "ferritin", "troponin I"),
    *("fasting glucose", "HDL-C", "free T4", "eGFR", "AST", "hemoglobin", "transferrin saturation", "NT-proBNP"),
    *("triglycerides", "urea nitrogen", "bilirubin, total", "white blood cells", "vitamin D 25-OH", "CRP", "INR"),
)
UNSENT = "SELECT count(*) FROM jobs WHERE sent_at IS NULL"
"""The jobs that the API has not given to the queue yet."""
FINISHED = "FROM jobs WHERE kind = 'categorise' AND status = 'done'"


def panel(number: int) -> dict[str, Any]:
    """Return a lab panel of 8 tests, whose names differ from those of the panel before."""
    names = [NAMES[(number + place * 3) % len(NAMES)] for place in range(TESTS)]
    tests = [{"name": name, "value": 1.0 + number % 90, "unit": "mg/dL"} for name in names]
    return {"patient_reference": f"bench-{number}", "tests": tests}


def account(token: str) -> str:
    """Return the SQL that makes an account with a session, as the auth service would: it stores the token's hash."""
    user, digest = uuid4(), hashlib.sha256(token.encode()).hexdigest()
    return (
        f"INSERT INTO users (id, email, password_hash) VALUES ('{user}', 'bench@example.com', '-');"  # noqa: S608
        "INSERT INTO sessions (token_sha256, user_id, expires_at) "
        f"VALUES (decode('{digest}', 'hex'), '{user}', now() + interval '1 day')"
    )
