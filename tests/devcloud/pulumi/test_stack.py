"""A stack's runs of Pulumi, by a program in its place that writes recorded events."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from devcloud.cloud.cloud import Cloud
from devcloud.pulumi.stack import Stack
from devcloud.util.console import UserError

URN = "urn:pulumi:local::slipway::slipway:index:Image::api"
LOGGED_ERROR = {
    "diagnosticEvent": {
        "urn": URN,
        "prefix": "error: ",
        "message": "the builder said no\n",
        "color": "never",
        "severity": "error",
    }
}
"""As Pulumi 3.259 wrote it for `pulumi.log.error("the builder said no", image)`."""
SUMMARY = {"summaryEvent": {"resourceChanges": {"create": 2}, "isPreview": True, "result": "succeeded"}}
PULUMI = """#!/bin/sh
while [ "$1" != --event-log ]; do shift; done
printf '%s' "$EVENTS" > "$2"
echo "Resources: 2 to create"
exit $CODE
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return a stack whose Pulumi writes the events in EVENTS and ends with CODE."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    cloud = Cloud("test", tmp_path / "cache")
    cloud.folder.mkdir(parents=True)
    return Stack(cloud, "local", {})


def recorded(stack: Stack, *events: dict[str, Any], code: int = 0) -> None:
    """Set what the next run writes, and how it ends."""
    lines = "".join(json.dumps(event) + "\n" for event in events)
    stack.environment = {**os.environ, "EVENTS": lines, "CODE": str(code)}


def test_a_preview_without_errors_ends_with_0(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    recorded(stack, SUMMARY)
    assert stack.show("preview") == 0
    assert capfd.readouterr().out == "Resources: 2 to create\n"


def test_a_preview_with_an_errored_resource_ends_with_1_though_pulumi_ends_with_0(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded(stack, LOGGED_ERROR, SUMMARY)
    assert stack.show("preview") == 1
    assert "`pulumi preview` of stack local reported 1 error(s), shown above" in capfd.readouterr().err


def test_pulumis_own_exit_code_is_passed_on(stack: Stack) -> None:
    recorded(stack, LOGGED_ERROR, code=255)
    assert stack.show("preview") == 255


def test_every_line_of_an_error_is_told(stack: Stack) -> None:
    problems = {"diagnosticEvent": {"message": "one is wrong\ntwo is wrong\n", "severity": "error"}}
    recorded(stack, problems, code=255)
    with pytest.raises(UserError, match=r"from here\.\n  one is wrong\n  two is wrong$"):
        stack.up()
