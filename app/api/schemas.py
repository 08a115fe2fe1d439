"""What goes into the API and what comes out, with the limits that each is held to."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, Strict, StringConstraints, model_validator
from pydantic.config import JsonDict

from app.common.web import Check

# A panel of the largest hospital analyzers has about 80 results; a name in LOINC's long form up to 200
# characters.
MAX_TESTS = 100
MAX_NAME = 200
MAX_UNIT = 32
MAX_REFERENCE = 128
MAX_BODY = 20_000
MAX_CATEGORY = 64
MAX_KEY = 128
MAX_CURSOR = 200
MAX_PAGE = 100
PAGE = 20

# PostgreSQL's text holds no NUL, and no name of a test needs a control character.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
# A report has lines and tabs, and something to read.
READABLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

PANEL_ID = "4201ce05-7a02-4007-8297-038b5318a16c"
OWNER_ID = "0b7a6f0e-9d0f-4a44-a1c2-8a8b8a3f6d11"
TIME = "2026-11-25T08:30:00Z"


def text(limit: int, least: int = 1) -> StringConstraints:
    """A line of text of at most `limit` characters, without spaces around it."""
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=limit, pattern=PRINTABLE)


# `"6.1"` and `true` are no measurements, though Python would make numbers of them.
Number = Annotated[FiniteFloat, Strict()]
Reference = Annotated[str, text(MAX_REFERENCE)]
Status = Literal["queued", "done", "failed"]
Kind = Literal["categorise", "extract", "aggregate"]


class ReferenceRange(BaseModel):
    """The range that the laboratory calls normal, in the test's own unit. One end may be open."""

    model_config = ConfigDict(extra="forbid")

    low: Number | None = None
    high: Number | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        """A range has an end, and its ends are in order."""
        if self.low is None and self.high is None:
            raise ValueError("a reference range needs low, high, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class LabTest(BaseModel):
    """One result as the laboratory reports it; `unit` may be empty (a ratio, a pH), and is kept as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, text(MAX_NAME)]
    value: Number
    unit: Annotated[str, text(MAX_UNIT, least=0)]
    reference_range: ReferenceRange | None = None


EXAMPLE_TEST: JsonDict = {
    "name": "HbA1c",
    "value": 6.1,
    "unit": "%",
    "reference_range": {"low": 4.0, "high": 5.6},
}


class NewPanel(BaseModel):
    """A lab panel as it is handed in. `patient_reference` is the caller's own name for the patient."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"patient_reference": "patient-17", "tests": [EXAMPLE_TEST]}},
    )

    patient_reference: Reference
    tests: Annotated[list[LabTest], Field(min_length=1, max_length=MAX_TESTS)]


class NewReport(BaseModel):
    """A report in the words of whoever wrote it. Its body is kept as it is, so that positions in it hold."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"patient_reference": "patient-17", "body": "HbA1c 6.1 %, LDL cholesterol 131 mg/dL."}
        },
    )

    patient_reference: Reference
    body: Annotated[str, StringConstraints(min_length=1, max_length=MAX_BODY, pattern=READABLE)]

    @model_validator(mode="after")
    def check(self) -> Self:
        """A report says something."""
        if not self.body.strip():
            raise ValueError("the body is blank")
        return self


class Accepted(BaseModel):
    """It is stored; the worker's part follows."""

    model_config = ConfigDict(json_schema_extra={"example": {"id": PANEL_ID, "status": "queued"}})

    id: UUID
    status: Status


class CategorisedTest(LabTest):
    """A result with its category. Both are null until the worker is done; `confidence` is from 0 to 1."""

    category: str | None
    confidence: float | None


class PanelHead(BaseModel):
    """A panel in a list: all but its tests, which are counted. `categories` are those of its tests, by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": PANEL_ID,
                "owner_id": OWNER_ID,
                "patient_reference": "patient-17",
                "status": "done",
                "reason": None,
                "created_at": TIME,
                "finished_at": TIME,
                "test_count": 1,
                "out_of_range": 1,
                "categories": ["diabetes"],
            }
        }
    )

    id: UUID
    owner_id: UUID | None
    patient_reference: str
    status: Status
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    test_count: int
    out_of_range: int
    categories: list[str]


class Panel(BaseModel):
    """A panel as it stands; `reason` says why where its status is `failed`. `owner_id` is null for one from before
    there were accounts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": PANEL_ID,
                "owner_id": OWNER_ID,
                "patient_reference": "patient-17",
                "status": "done",
                "reason": None,
                "created_at": TIME,
                "finished_at": TIME,
                "tests": [{**EXAMPLE_TEST, "category": "diabetes", "confidence": 0.91}],
            }
        }
    )

    id: UUID
    owner_id: UUID | None
    patient_reference: str
    status: Status
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    tests: list[CategorisedTest]


class Entity(BaseModel):
    """Something that was found in a report: `found` is `body[starts_at:ends_at]`, in Unicode characters; `value` and
    `unit` are the measurement after it, where there is one."""

    starts_at: int
    ends_at: int
    found: str
    category: str
    confidence: float
    value: float | None
    unit: str | None


class ReportHead(BaseModel):
    """A report in a list: all but its text and what was found in it."""

    id: UUID
    owner_id: UUID
    patient_reference: str
    status: Status
    reason: str | None
    created_at: datetime
    finished_at: datetime | None


class Report(ReportHead):
    """A report as it stands, with what was found in it once the worker is done."""

    body: str
    entities: list[Entity]


class JobView(BaseModel):
    """A piece of the worker's work. `deliveries` counts how often the worker took it; `sent_at` is null until it is
    in the queue."""

    id: UUID
    kind: Kind
    owner_id: UUID | None
    panel_id: UUID | None
    report_id: UUID | None
    status: Status
    reason: str | None
    deliveries: int
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None


class Panels(BaseModel):
    """A page of panels, the newest first. `next_cursor` asks for the next page; null on the last."""

    items: list[PanelHead]
    next_cursor: str | None


class Reports(BaseModel):
    """A page of reports, the newest first. `next_cursor` asks for the next page; null on the last."""

    items: list[ReportHead]
    next_cursor: str | None


class Jobs(BaseModel):
    """A page of jobs, the newest first. `next_cursor` asks for the next page; null on the last."""

    items: list[JobView]
    next_cursor: str | None


class Period(BaseModel):
    """A month of a test, in the trend's unit. `period` is its first day, at midnight UTC."""

    period: datetime
    count: int
    mean: float
    minimum: float
    maximum: float
    latest: float


class Trend(BaseModel):
    """A test of one account in one unit over the months, the oldest first."""

    owner_id: UUID
    test_name: str
    unit: str
    category: str | None
    periods: list[Period]


class Trends(BaseModel):
    """Trends by test and unit. `truncated` where there is more than one answer holds: ask for one test or category."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "owner_id": OWNER_ID,
                        "test_name": "hba1c",
                        "unit": "%",
                        "category": "diabetes",
                        "periods": [
                            {
                                "period": "2026-11-01T00:00:00Z",
                                "count": 2,
                                "mean": 6.0,
                                "minimum": 5.9,
                                "maximum": 6.1,
                                "latest": 6.1,
                            }
                        ],
                    }
                ],
                "truncated": False,
            }
        }
    )

    items: list[Trend]
    truncated: bool


class Readiness(BaseModel):
    """Each thing that the API needs, by name. The cache may be away: slower, not down; so may the queue: later."""

    ready: bool
    database: Check
    queue: Check
    cache: Check
