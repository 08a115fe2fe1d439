"""The host's first boot, run with stand-ins for dnf, systemctl and aws."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.releases.bootstrap import SCRIPT, user_data
from infra.releases.graph import graph, stand_in
from infra.releases.host_document import render
from tests.infra.conftest import settings_of

RELEASE = json.dumps({"schema": 2, "host": "slipway-dev-host", "hostVersion": "7", "program": "0" * 16})
DOCUMENT = json.dumps(
    {"mainSteps": [{"inputs": {"runCommand": ["#!/bin/sh", 'echo "$SSM_Command/$SSM_Argument" >"$RAN"']}}]}
)
NOT_FOUND = 'echo "An error occurred (ParameterNotFound) when calling the GetParameter operation:" >&2; exit 254'
DENIED = 'echo "An error occurred (AccessDeniedException) when calling the GetParameter operation:" >&2; exit 254'


@dataclass(frozen=True)
class Booted:
    """The outcome of a first boot."""

    code: int
    calls: str
    """The commands that were called, one a line."""
    ran: str | None
    """The command and argument that the document's script was run with."""


Boot = Callable[..., Booted]


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Run the script: `boot(dnf="exit 1")` with other stand-ins."""

    def run(dnf: str = "true", get_parameter: str = "", get_document: str = "") -> Booted:
        release, document = tmp_path / "release.json", tmp_path / "document.json"
        release.write_text(RELEASE)
        document.write_text(json.dumps(DOCUMENT))
        aws = f"""case "$2" in
get-parameter) {get_parameter or f"cat {release}"} ;;
get-document) {get_document or f"cat {document}"} ;;
esac"""
        for name, body in {"dnf": dnf, "systemctl": "true", "aws": aws}.items():
            file = tmp_path / name
            file.write_text(f'#!/bin/sh\necho "{name} $*" >>"$CALLS"\n{body}\n')
            file.chmod(0o755)
        calls, ran = tmp_path / "calls", tmp_path / "ran"
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RELEASE_PARAMETER": "/slipway/dev/release",
            "CALLS": str(calls),
            "RAN": str(ran),
        }
        done = subprocess.run(["bash", "-c", SCRIPT], env=environment, capture_output=True, timeout=20, check=False)
        return Booted(done.returncode, calls.read_text(), ran.read_text() if ran.exists() else None)

    return run


def test_a_host_without_docker_is_tried_again(boot: Boot) -> None:
    booted = boot(dnf="exit 1")
    assert booted.code != 0
    assert "aws" not in booted.calls


def test_a_first_host_ends_with_docker_for_there_is_no_release_yet(boot: Boot) -> None:
    booted = boot(get_parameter=NOT_FOUND)
    assert (booted.code, booted.ran) == (0, None)
    assert "systemctl enable --now docker" in booted.calls


@pytest.mark.parametrize("fault", [{"get_parameter": DENIED}, {"get_document": "exit 254"}])
def test_an_aws_that_does_not_answer_yet_is_asked_again(boot: Boot, fault: dict[str, str]) -> None:
    booted = boot(**fault)
    assert booted.code != 0
    assert booted.ran is None


def test_a_replaced_host_boots_the_release_by_the_documents_version(boot: Boot) -> None:
    booted = boot()
    assert booted.code == 0
    assert booted.ran == "boot/\n"
    assert "get-parameter --name /slipway/dev/release" in booted.calls
    assert "get-document --name slipway-dev-host --document-version 7" in booted.calls


def test_the_document_has_its_script_where_the_first_boot_looks_for_it() -> None:
    settings = settings_of("dev")
    document = json.loads(render(graph(settings, stand_in(settings))))
    assert document["mainSteps"][0]["inputs"]["runCommand"][0] == "#!/bin/sh"


def test_systemd_repeats_the_script_until_it_succeeds() -> None:
    text = user_data(region="eu-west-1", parameter="/slipway/dev/release")
    assert text.startswith("#!/bin/bash\n")
    for line in (
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
        "Environment=AWS_DEFAULT_REGION=eu-west-1 RELEASE_PARAMETER=/slipway/dev/release",
    ):
        assert f"\n{line}\n" in text


def test_the_user_data_writes_both_files_as_they_are(tmp_path: Path) -> None:
    text = user_data(region="eu-west-1", parameter="/slipway/dev/release")
    moved = text.replace("/usr/local/lib", f"{tmp_path}/lib").replace("/etc/systemd/system", str(tmp_path))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\n")
    systemctl.chmod(0o755)
    subprocess.run(["bash", "-c", moved], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True, timeout=20)
    assert (tmp_path / "lib" / "slipway" / "bootstrap").read_text() == SCRIPT
    assert (tmp_path / "slipway-bootstrap.service").read_text().endswith("WantedBy=multi-user.target\n")


def test_the_user_data_fits_into_what_ec2_takes() -> None:
    assert len(user_data(region="us-east-1", parameter="/slipway/dev/release").encode()) < 16 * 1024
