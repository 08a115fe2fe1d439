"""The SSM document that carries the host's program."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.host import cli
from infra.releases import graph, host_document
from infra.releases.host_document import HostDocumentError
from tests.infra.conftest import HOSTED, settings_of
from tests.infra.host.fake import graph_json, service

ROOM_BYTES = 2048
"""The part of SSM's 64 KB that must stay free, so that a change that takes it is seen before users are refused."""


def eight_services(environment: int = 12) -> dict[str, Any]:
    """Return a graph of eight services, each with all that a service can have."""
    values = {
        f"VARIABLE_{number}": f"https://sqs.us-east-1.amazonaws.com/123456789012/name-{number}"
        for number in range(environment)
    }
    return graph_json(
        {
            f"service-{number}": service(
                port=8000 + number,
                route=f"/route-{number}",
                probes=[{"path": f"/some/route/{number}", "status": [200, 401]}] * 3,
                after={f"service-{before}": "healthy" for before in range(number)},
                environment=values,
                secrets={f"SECRET_{secret}": f"secret-name-{secret}" for secret in range(4)},
                role=f"arn:aws:iam::123456789012:role/slipway-local-service-{number}",
            )
            for number in range(8)
        }
    )


def everything_on_the_host() -> dict[str, Any]:
    """Return the graph of this product with its databases on the host, and a domain."""
    settings = settings_of("dev", {**HOSTED, "slipway:host": {"domain": "labs.example.com"}})
    return dict(graph.graph(settings, graph.stand_in(settings)))


def test_the_document_is_the_same_string_each_time() -> None:
    document = host_document.render(eight_services())
    assert document == host_document.render(json.loads(json.dumps(eight_services())))


@pytest.mark.parametrize("described", [eight_services, everything_on_the_host])
def test_the_document_leaves_room_below_the_limit(described: Callable[[], dict[str, Any]]) -> None:
    size = len(host_document.render(described()).encode()) + host_document.PARAMETER_BYTES
    left = 64 * 1024 - size
    assert left >= ROOM_BYTES, f"{left:,} bytes are left: make infra/host smaller before it grows any further"


def test_a_document_over_the_limit_is_refused() -> None:
    noise = {"name": "x", "noise": [hash(str(number)) for number in range(5000)]}
    with pytest.raises(HostDocumentError, match=r"more than the 65,536 of an SSM document: describe fewer services"):
        host_document.render(noise)


@pytest.mark.parametrize("command", ["resume", "boot", "tend", "dump", "load", "submitx", "xfollow", ""])
def test_run_command_may_not_send_what_only_systemd_runs(command: str) -> None:
    pattern = json.loads(host_document.render(graph_json()))["parameters"]["Command"]["allowedPattern"]
    assert host_document.COMMANDS == cli.PUBLIC
    assert all(re.search(pattern, name) for name in cli.PUBLIC)
    assert not re.search(pattern, command)


@pytest.mark.parametrize("left", ["{{Argument}}", "$SSM_Argument", "${SSM_Argument}", ""])
def test_the_script_survives_an_agent_that_sets_no_variable_for_an_empty_argument(left: str, tmp_path: Path) -> None:
    (step,) = json.loads(host_document.render(graph_json()))["mainSteps"]
    script = "\n".join(step["inputs"]["runCommand"]).replace("/var/lib/slipway", str(tmp_path / "lib"))
    script = script.replace("{{Argument}}", left).replace("exec python3", "exec printf '[%s]'")
    environment = {"PATH": "/usr/bin:/bin", "SSM_Command": "status"}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.endswith("[status][]")


@pytest.mark.parametrize("knows_variables", [True, False], ids=["new-agent", "old-agent"])
def test_the_script_runs_the_packed_program(knows_variables: bool, tmp_path: Path) -> None:
    document = json.loads(host_document.render(graph_json()))
    (step,) = document["mainSteps"]
    assert step["action"] == "aws:runShellScript"
    assert {name: each["interpolationType"] for name, each in document["parameters"].items()} == {
        "Command": "ENV_VAR",
        "Argument": "ENV_VAR",
    }
    argument = base64.b64encode(b"{}").decode()
    script = "\n".join(step["inputs"]["runCommand"])
    script = script.replace("/var/lib/slipway", str(tmp_path / "lib")).replace(
        "exec python3", f"exec {sys.executable} -c 'import sys; print(sys.argv[1:])'"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    if knows_variables:
        environment |= {"SSM_Command": "follow", "SSM_Argument": argument}
    else:
        script = script.replace("{{Command}}", "follow").replace("{{Argument}}", argument)
    (tmp_path / "script").write_text(script)
    for _ in range(2):
        done = subprocess.run(
            ["sh", str(tmp_path / "script")], capture_output=True, text=True, env=environment, check=True
        )
        (program,) = (tmp_path / "lib" / "programs").iterdir()
        assert program.stem == host_document.program_name(graph_json())
        assert done.stdout == f"{[str(program), 'follow', argument]}\n"
    assert program.read_bytes() == host_document.pack(graph_json())
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); from infra.host import graph; print(graph.packed().name)",
            str(program),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert listed.stdout == "slipway-local\n"
