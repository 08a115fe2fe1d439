"""Pulumi's events as lines for a person."""

import json
from pathlib import Path
from typing import Any

from devcloud.pulumi.progress import Progress, Result

API = "urn:pulumi:local::slipway::slipway:index:Image$docker-build:index:Image::api-image"
VPC = "urn:pulumi:local::slipway::slipway:index:Network$aws:ec2/vpc:Vpc::vpc"


def follow(tmp_path: Path, *events: dict[str, Any]) -> Result:
    log = tmp_path / "events.json"
    with Progress(log, quiet=True) as progress:
        log.write_text("".join(json.dumps(event) + "\n" for event in events))
    return progress.result


def operation(kind: str, urn: str, type_: str, op: str = "create") -> dict[str, Any]:
    return {kind: {"metadata": {"urn": urn, "type": type_, "op": op}}}


def builder_says(*lines: str) -> list[dict[str, Any]]:
    return [{"diagnosticEvent": {"urn": API, "message": line + "\n", "severity": "info"}} for line in lines]


def image(*lines: str) -> list[dict[str, Any]]:
    kind = "docker-build:index:Image"
    return [
        operation("resourcePreEvent", API, kind),
        *builder_says(*lines),
        operation("resOutputsEvent", API, kind),
    ]


def test_an_image_whose_steps_were_all_cached_is_cached(tmp_path: Path) -> None:
    result = follow(tmp_path, *image("#5 [2/3] COPY app/api app/api", "#5 CACHED", "#6 [3/3] RUN true", "#6 CACHED"))
    assert result.builds["api"].how == "cached"


def test_an_image_with_a_step_that_ran_is_built(tmp_path: Path) -> None:
    lines = ("#5 [2/3] RUN pip install", "#5 CACHED", "#6 [3/3] COPY app/api app/api", "#6 DONE 0.1s")
    assert follow(tmp_path, *image(*lines)).builds["api"].how == "built (1 of 2 steps)"


def test_what_the_builder_does_for_itself_is_no_step(tmp_path: Path) -> None:
    result = follow(tmp_path, *image("#1 [internal] load build definition", "#1 DONE 0.0s"))
    assert result.builds["api"].run_steps == 0


def test_resources_that_stay_the_same_are_not_touched(tmp_path: Path) -> None:
    same = operation("resOutputsEvent", VPC, "aws:ec2/vpc:Vpc", "same")
    assert follow(tmp_path, same, *image()).touched == {"api-image": "create"}


def test_the_summary_says_whether_anything_was_done(tmp_path: Path) -> None:
    assert not follow(tmp_path, {"summaryEvent": {"resourceChanges": {"same": 4}}}).changed
    assert follow(tmp_path, {"summaryEvent": {"resourceChanges": {"same": 4, "update": 1}}}).changed


def test_each_error_is_kept_once_without_marks(tmp_path: Path) -> None:
    error = {
        "diagnosticEvent": {
            "urn": VPC,
            "message": "<{%reset%}>no such zone<{%reset%}>\n",
            "severity": "error",
        }
    }
    assert follow(tmp_path, error, error).errors == ["no such zone"]


def test_what_the_program_prints_is_kept_and_is_no_error(tmp_path: Path) -> None:
    result = follow(tmp_path, {"diagnosticEvent": {"message": "Traceback ...\n", "severity": "info#err"}})
    assert result.errors == []
    assert result.program_said == ["Traceback ..."]
