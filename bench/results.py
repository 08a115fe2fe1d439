"""Keep the measurements in one file, written after each of them, so that a run that ends early goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from bench.plan import Part, Step
from devcloud.util.console import UserError
from devcloud.util.files import replace_text

NOTE = "note"
"""A fact that a person adds: what else the machine was doing, say."""


class Record(Part):
    """One measurement: its figures by metric, and when it was made (UTC, ISO 8601)."""

    model: str
    contender: str
    scenario: str
    run: int
    figures: Mapping[str, float]
    at: str

    @property
    def step(self) -> Step:
        """The step that was measured."""
        return Step(self.model, self.contender, self.scenario, self.run)


class Document(Part):
    """The file's content."""

    version: Literal[1] = Field(alias="schema")
    facts: Mapping[str, str]
    measurements: tuple[Record, ...]


class Results:
    """The results in a file."""

    def __init__(self, file: Path, facts: Mapping[str, str]) -> None:
        """Open the file, or begin one. `facts` say what was measured where: machine, versions, commit.

        Raise UserError if the file is of another commit or machine: its figures cannot be compared with new ones.
        """
        self.file = file
        self.facts = dict(facts)
        self.records: list[Record] = []
        if not file.exists():
            return
        stored = _read(file)
        differing = sorted(name for name in facts if stored.facts.get(name) != facts[name])
        if differing:
            raise UserError(
                f"{file} holds figures of another {', '.join(differing)}: delete it to begin again, or run `make bench "
                "ARGS=--fresh`."
            )
        # The same facts, and the note that a person added.
        self.facts = dict(stored.facts)
        self.records = list(stored.measurements)

    @classmethod
    def load(cls, file: Path) -> "Results":
        """Return results as they were written, for reading. Raise UserError if there are none."""
        if not file.exists():
            raise UserError(f"There are no results in {file}: `make bench` makes them.")
        return cls(file, {})

    @property
    def done(self) -> set[Step]:
        """The steps that are measured."""
        return {record.step for record in self.records}

    def add(self, step: Step, figures: Mapping[str, float], at: str) -> None:
        """Add a measurement and write the file."""
        self.records.append(Record(**vars(step), figures=figures, at=at))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.file, self.to_json())

    def values(self, model: str, contender: str, scenario: str, metric: str) -> list[float]:
        """Return the figures of all runs."""
        return [
            record.figures[metric]
            for record in self.records
            if (record.model, record.contender, record.scenario) == (model, contender, scenario)
            and metric in record.figures
        ]

    def to_json(self) -> str:
        """Return the text of the file."""
        document = Document(schema=1, facts=self.facts, measurements=tuple(self.records))
        return json.dumps(document.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True) + "\n"


def _read(file: Path) -> Document:
    try:
        return Document.model_validate_json(file.read_text())
    except ValidationError:
        raise UserError(
            f"{file} is not a results file of this bench: delete it, and `make bench` begins again."
        ) from None
