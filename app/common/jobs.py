"""The message that the API sends and the worker takes."""

import json
from dataclasses import dataclass
from uuid import UUID

VERSION = 1
KINDS = ("categorise",)


class JobError(ValueError):
    """A message is no job that this worker knows. The queue's own redrive policy deals with it."""


@dataclass(frozen=True)
class Job:
    """One piece of work: what to do (`kind`) with which lab panel (`lab_id`)."""

    kind: str
    lab_id: UUID

    def to_json(self) -> str:
        """The message's body."""
        return json.dumps({"version": VERSION, "kind": self.kind, "lab_id": str(self.lab_id)})

    @classmethod
    def from_json(cls, body: str) -> "Job":
        """The job in a message's body; JobError, with what is wrong, where there is none."""
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise JobError(f"the message is not JSON ({error}).") from error
        if not isinstance(fields, dict):
            raise JobError(f"the message is a JSON {type(fields).__name__}, not an object.")
        if fields.get("version") != VERSION:
            raise JobError(f"the message has version {fields.get('version')!r}; this worker knows {VERSION}.")
        if fields.get("kind") not in KINDS:
            raise JobError(f"the message has kind {fields.get('kind')!r}, which is none of {', '.join(KINDS)}.")
        try:
            return cls(kind=str(fields["kind"]), lab_id=UUID(str(fields.get("lab_id"))))
        except ValueError as error:
            raise JobError(f"the message's lab_id is {fields.get('lab_id')!r}, not a UUID.") from error
