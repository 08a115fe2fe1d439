"""`source <(make -s env)`: plain commands of the field work in a shell."""

import json
import subprocess

import pytest

from devcloud.pulumi.stack import with_resources
from tests.cloud.conftest import CLOUD, Checkout

pytestmark = pytest.mark.cloud


def shell(checkout: Checkout, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a shell that was aimed at the cloud, as a person's would be."""
    aimed = f"set -e; source <(make -s env CLOUD={CLOUD}); {script}"
    environment = {**checkout.environment(), "AWS_PROFILE": "production", "AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:1"}
    return subprocess.run(
        ["bash", "-c", aimed], cwd=checkout.root, env=environment, capture_output=True, text=True, check=False
    )


def test_the_field_s_own_commands_work(up: Checkout) -> None:
    done = shell(up, "aws ecs list-clusters; docker ps --quiet >&2; pulumi preview -s local --expect-no-changes >&2")
    assert done.returncode == 0, done.stderr
    listed = {arn.rpartition("/")[2] for arn in json.loads(done.stdout)["clusterArns"]}
    assert listed == {up.outputs(stack)["worker"]["cluster"] for stack in with_resources(up.cloud)}


def test_an_up_by_hand_finds_nothing_to_do(up: Checkout) -> None:
    done = shell(up, "pulumi up -s local --yes --skip-preview --non-interactive --expect-no-changes")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_else_is_on_standard_output(up: Checkout) -> None:
    call = ["make", "-s", "env", f"CLOUD={CLOUD}"]
    printed = subprocess.run(call, cwd=up.root, env=up.environment(), capture_output=True, text=True, check=True).stdout
    assert {line.split(" ")[0] for line in printed.splitlines()} <= {"export", "unset"}
