"""What goes into the API and what comes out, with the limits that a panel is held to."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

# A panel of the largest hospital analyzers has about 80 results; a name in LOINC's long form up to 200
# characters.
MAX_TESTS = 100
MAX_NAME = 200
MAX_UNIT = 32
MAX_REFERENCE = 128

# PostgreSQL's text holds no NUL, and no name of a test needs a control character.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


def text(limit: int, least: int = 1) -> StringConstraints:
    """A line of text of at most `limit` characters, without spaces around it."""
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=limit, pattern=PRINTABLE)


class ReferenceRange(BaseModel):
    """The range that the laboratory calls normal, in the test's own unit. One end may be open."""

    model_config = ConfigDict(extra="forbid")

    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        """A range has an end, and its ends are in order."""
        if self.low is None and self.high is None:
            raise ValueError("a reference range needs low, high, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g})")
        return self


class LabTest(BaseModel):
    """One result as the laboratory reports it; `unit` may be empty (a ratio, a pH)."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, text(MAX_NAME)]
    value: FiniteFloat
    unit: Annotated[str, text(MAX_UNIT, least=0)]
    reference_range: ReferenceRange | None = None


class NewPanel(BaseModel):
    """A lab panel as it is handed in. `patient_reference` is the caller's own name for the patient."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "patient_reference": "patient-17",
                "tests": [
                    {
                        "name": "HbA1c",
                        "value": 6.1,
                        "unit": "%",
                        "reference_range": {"low": 4.0, "high": 5.6},
                    }
                ],
            }
        },
    )

    patient_reference: Annotated[str, text(MAX_REFERENCE)]
    tests: Annotated[list[LabTest], Field(min_length=1, max_length=MAX_TESTS)]


Status = Literal["queued", "done", "failed"]


class Accepted(BaseModel):
    """A panel is stored; its categories follow."""

    id: UUID
    status: Status


class CategorisedTest(LabTest):
    """A result with its category. Both are null until the worker is done; `confidence` is from 0 to 1."""

    category: str | None
    confidence: float | None


class Panel(BaseModel):
    """A panel as it stands; `reason` says why where its status is `failed`."""

    id: UUID
    patient_reference: str
    status: Status
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    tests: list[CategorisedTest]


class Check(BaseModel):
    """Whether one thing that the API needs can be reached, and why not."""

    ok: bool
    reason: str | None = None


class Readiness(BaseModel):
    """Each thing that the API needs, by name. The cache may be away: slower, not down."""

    ready: bool
    database: Check
    queue: Check
    cache: Check
