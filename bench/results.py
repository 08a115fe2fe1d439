"""What was measured so far: one file, written anew after each measurement, so that a run that ends early goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.plan import Step
from devcloud.util.console import UserError

SCHEMA = 1
NOTE = "note"
"""A fact that a person adds: what else the machine was doing, say."""


@dataclass(frozen=True)
class Record:
    """One measurement: its figures by metric, and when it was made (UTC, ISO 8601)."""

    step: Step
    figures: Mapping[str, float]
    at: str


class Results:
    """The results in a file."""

    def __init__(self, file: Path, facts: Mapping[str, str]) -> None:
        """Open the file, or begin one. `facts` say what was measured where: machine, versions, commit.

        Raise UserError if the file tells of another commit or machine: its figures do not go with new ones.
        """
        self.file = file
        self.facts = dict(facts)
        self.records: list[Record] = []
        if not file.exists():
            return
        stored = _read(file)
        if NOTE in stored["facts"]:
            self.facts[NOTE] = stored["facts"][NOTE]
        differing = sorted(name for name in facts if stored["facts"].get(name) != facts[name])
        if differing:
            raise UserError(
                f"{file} holds figures of another {', '.join(differing)}: begin anew by deleting it, or by `make bench "
                "ARGS=--fresh`."
            )
        self.records = _records(stored)

    @classmethod
    def load(cls, file: Path) -> "Results":
        """Results as they were written, for reading. Raise UserError if there are none."""
        if not file.exists():
            raise UserError(f"There are no results in {file}: `make bench` makes them.")
        found = cls(file, {})
        found.facts = _read(file)["facts"]
        return found

    @property
    def done(self) -> set[Step]:
        return {record.step for record in self.records}

    def add(self, record: Record) -> None:
        """Add a measurement and write the file."""
        self.records.append(record)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(".draft")
        draft.write_text(self.to_json())
        draft.replace(self.file)

    def values(self, model: str, contender: str, scenario: str, metric: str) -> list[float]:
        """The figures of all runs."""
        return [
            record.figures[metric]
            for record in self.records
            if (record.step.model, record.step.contender, record.step.scenario) == (model, contender, scenario)
            and metric in record.figures
        ]

    def to_json(self) -> str:
        document = {
            "schema": SCHEMA,
            "facts": self.facts,
            "measurements": [
                {**asdict(record.step), "figures": dict(record.figures), "at": record.at} for record in self.records
            ],
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _read(file: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(file.read_text())
        schema = stored.get("schema")
    except (ValueError, AttributeError):
        schema = None
    if schema != SCHEMA:
        raise UserError(f"{file} is no results file of this bench: delete it, and `make bench` begins anew.")
    return stored


def _records(stored: Mapping[str, Any]) -> list[Record]:
    return [
        Record(
            Step(entry["model"], entry["contender"], entry["scenario"], entry["run"]),
            {name: float(value) for name, value in entry["figures"].items()},
            entry["at"],
        )
        for entry in stored["measurements"]
    ]
