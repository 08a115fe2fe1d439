"""Pulumi's events as lines for a person."""

import json
from pathlib import Path
from typing import Any

import pytest

from devcloud.pulumi.progress import Progress, Result

API = "urn:pulumi:local::slipway::slipway:index:Image$docker-build:index:Image::api-image"
VPC = "urn:pulumi:local::slipway::slipway:index:Network$aws:ec2/vpc:Vpc::vpc"


def follow(tmp_path: Path, *events: dict[str, Any]) -> Result:
    log = tmp_path / "events.json"
    with Progress(log) as progress:
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


def test_what_goes_to_the_registry_is_push_and_all_else_is_build(tmp_path: Path) -> None:
    lines = (
        "#17 exporting to image",
        "#17 exporting layers 20.0s done",
        "#17 pushing layers",
        "#17 pushing layers 1.5s done",
        "#17 pushing manifest for 127.0.0.1:5000/slipway/api:1798576c@sha256:f0fe 0.1s done",
        "#17 DONE 21.6s",
        "#18 exporting cache to registry",
        "#18 preparing build cache for export 0.3s done",
        "#18 sending cache export 0.2s done",
        "#18 DONE 0.5s",
    )
    assert follow(tmp_path, *image(*lines)).builds["api"].push_seconds == pytest.approx(2.1)


def test_the_time_of_the_release_is_kept_for_the_end_and_is_no_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "release: took pull 3.0 s, start 7.0 s: 10.0 s in all\n"
    result = follow(tmp_path, {"diagnosticEvent": {"message": told, "severity": "info"}})
    assert result.host == {"pull": 3.0, "start": 7.0}
    assert capsys.readouterr().err == ""


def test_each_change_is_a_line_and_what_stays_the_same_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = operation("resOutputsEvent", VPC, "aws:ec2/vpc:Vpc", "same")
    component = operation("resOutputsEvent", API, "slipway:index:Image")
    changed = operation("resOutputsEvent", VPC.replace("::vpc", "::other"), "aws:ec2/vpc:Vpc")
    follow(tmp_path, same, component, changed, *image())
    assert capsys.readouterr().err.splitlines() == [
        "  creating    other (aws:ec2/vpc:Vpc): 0.0 s",
        "  image       api: cached, 0.0 s",
    ]


def test_the_summary_counts_the_changes(tmp_path: Path) -> None:
    changes = {"same": 4, "update": 1}
    assert follow(tmp_path, {"summaryEvent": {"resourceChanges": changes}}).changes == changes


def test_a_step_that_takes_long_is_named_with_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devcloud.pulumi.progress.HEARTBEAT_SECONDS", -1)
    host = operation("resourcePreEvent", VPC.replace("::vpc", "::api"), "aws:ecs/service:Service")
    follow(tmp_path, host, *image("#5 [2/3] RUN pip install")[:2])
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "  creating    api ... 0.0 s",
        "  creating    api-image ... 0.0 s, 2/3: RUN pip install",
    ]


def test_a_line_that_is_cut_short_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "events.json"
    with Progress(log) as progress:
        log.write_text('{"summaryEvent": {"resourceChanges": {"same": 4}}}\n{"summaryEv')
    assert progress.result.changes == {"same": 4}


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


def test_the_hosts_steps_are_lines_and_other_information_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [
        {"diagnosticEvent": {"message": text, "severity": "info"}}
        for text in ("release: pulled 2 images in 3 s\n", "something else\n")
    ]
    follow(tmp_path, *told)
    assert capsys.readouterr().err.splitlines() == ["  host        pulled 2 images in 3 s"]


def test_what_the_program_says_of_a_rollback_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = "<{%reset%}>rollback: deploying the release 3fa94c1b<{%reset%}>\n"
    follow(tmp_path, {"diagnosticEvent": {"message": message, "severity": "info"}})
    assert capsys.readouterr().err == "  rollback    deploying the release 3fa94c1b\n"


def test_an_image_that_leaves_the_state_is_no_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = "docker-build:index:Image"
    events = (operation(event, API, kind, "delete") for event in ("resourcePreEvent", "resOutputsEvent"))
    assert follow(tmp_path, *events).builds == {}
    assert capsys.readouterr().err == ""
