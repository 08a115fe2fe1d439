"""The message that the API sends and the worker takes."""

import json
from dataclasses import dataclass
from uuid import UUID

from app.common.tables import AGGREGATE, CATEGORISE, EXTRACT

# 1 named a lab panel; from 2 on it is a row of the table `jobs`, which says what the work is about.
VERSION = 2
KINDS = (CATEGORISE, EXTRACT, AGGREGATE)


class JobError(ValueError):
    """A message is no job that this worker knows. The queue's own redrive policy deals with it."""


@dataclass(frozen=True)
class Job:
    """One piece of work: its `kind`, and `job_id`, its row in the table `jobs`."""

    kind: str
    job_id: UUID

    def to_json(self) -> str:
        """The message's body."""
        return json.dumps({"version": VERSION, "kind": self.kind, "job_id": str(self.job_id)})

    @classmethod
    def from_json(cls, body: str) -> "Job":
        """The job in a message's body; JobError, with what is wrong, where there is none."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise JobError(f"the message is not JSON ({type(error).__name__}).") from error
        if not isinstance(fields, dict):
            raise JobError(f"the message is a JSON {type(fields).__name__}, not an object.")
        if fields.get("version") != VERSION:
            raise JobError(f"the message has version {fields.get('version')!r}; this worker knows {VERSION}.")
        if fields.get("kind") not in KINDS:
            raise JobError(f"the message has kind {fields.get('kind')!r}, which is none of {', '.join(KINDS)}.")
        try:
            return cls(kind=str(fields["kind"]), job_id=UUID(str(fields.get("job_id"))))
        except ValueError as error:
            raise JobError(f"the message's job_id is {fields.get('job_id')!r}, not a UUID.") from error
