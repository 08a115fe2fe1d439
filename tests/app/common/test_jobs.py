"""The job message."""

import json
from uuid import UUID

import pytest

from app.common.jobs import Job, JobError

LAB = UUID("4201ce05-7a02-4007-8297-038b5318a16c")


def test_a_job_survives_its_way_through_the_queue() -> None:
    job = Job(kind="categorise", lab_id=LAB)
    assert Job.from_json(job.to_json()) == job


def test_a_message_says_its_version() -> None:
    assert json.loads(Job(kind="categorise", lab_id=LAB).to_json())["version"] == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("not json", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "version None"),
        (json.dumps({"version": 2, "kind": "categorise", "lab_id": str(LAB)}), "version 2"),
        (json.dumps({"version": 1, "kind": "explode", "lab_id": str(LAB)}), "'explode'"),
        (json.dumps({"version": 1, "kind": ["categorise"], "lab_id": str(LAB)}), "kind"),
        (json.dumps({"version": 1, "kind": "categorise", "lab_id": "17"}), "'17', not a UUID"),
        (json.dumps({"version": 1, "kind": "categorise"}), "None, not a UUID"),
    ],
)
def test_a_message_that_is_no_job_is_refused_with_the_reason(body: str, complaint: str) -> None:
    with pytest.raises(JobError, match=complaint.replace("[", r"\[")):
        Job.from_json(body)
