"""The job message."""

import json
from uuid import UUID

import pytest

from app.common.jobs import Job, JobError

JOB = UUID("4201ce05-7a02-4007-8297-038b5318a16c")


def test_a_job_survives_its_way_through_the_queue() -> None:
    job = Job(kind="categorise", job_id=JOB)
    assert Job.from_json(job.to_json()) == job


def test_a_message_says_its_version() -> None:
    assert json.loads(Job(kind="categorise", job_id=JOB).to_json())["version"] == 2


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("not json", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "version None"),
        (json.dumps({"version": 1, "kind": "categorise", "job_id": str(JOB)}), "version 1"),
        (json.dumps({"version": 2, "kind": "explode", "job_id": str(JOB)}), "'explode'"),
        (json.dumps({"version": 2, "kind": ["categorise"], "job_id": str(JOB)}), "kind"),
        (json.dumps({"version": 2, "kind": "categorise", "job_id": "17"}), "'17', not a UUID"),
        (json.dumps({"version": 2, "kind": "categorise"}), "None, not a UUID"),
    ],
)
def test_a_message_that_is_no_job_is_refused_with_the_reason(body: str, complaint: str) -> None:
    with pytest.raises(JobError, match=complaint.replace("[", r"\[")):
        Job.from_json(body)
