"""An `up` that is killed loses nothing: the next one goes on.

What the killed ones leave would show here, or in `make down`, which refuses to end a cloud with anything left in it.
"""

import json

import pytest

from devcloud.pulumi.stack import state_folder
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


@pytest.mark.parametrize("command", ["preview", "refresh"])
def test_after_it_there_is_nothing_to_change(checkout: Checkout, dev_up: Done, command: str) -> None:
    checkout.restore()
    done = checkout.run(command, "--expect-no-changes", stack="dev")
    assert done.code == 0, done.said


def test_what_a_run_took_into_the_state_and_did_not_live_to_read_is_read_by_the_next(
    checkout: Checkout, dev_up: Done
) -> None:
    checkout.restore()
    file = state_folder(checkout.cloud) / "dev.json"
    state = json.loads(file.read_text())
    # So is what was taken in: its id and its inputs are known, nothing else.
    for resource in state["checkpoint"]["latest"]["resources"]:
        if resource["type"] in ("aws:ec2/subnet:Subnet", "aws:iam/instanceProfile:InstanceProfile"):
            del resource["outputs"]
    file.write_text(json.dumps(state))
    done = checkout.run("preview", "--expect-no-changes", stack="dev")
    assert done.code == 0, done.said
    assert "reading what a killed run left" in done.said
