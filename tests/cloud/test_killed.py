"""An `up` that is killed loses nothing: the next one goes on. (The session's very first is killed too: conftest.)"""

import random

import pytest

from devcloud.emulator.inventory import inventory
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud

LATEST_SECONDS = 60


def test_it_converges_and_leaves_nothing_behind(checkout: Checkout, first_up: Done) -> None:
    checkout.restore()
    checkout.run("down", stack="dev")
    before = inventory(checkout.cloud.endpoint)
    for victims in ("the command", "the engine"):
        checkout.kill(random.uniform(5, LATEST_SECONDS), victims, stack="dev")
    checkout.up("dev")
    assert checkout.run("preview", "--expect-no-changes", stack="dev").code == 0
    assert checkout.run("refresh", "--expect-no-changes", stack="dev").code == 0
    assert checkout.run("down", stack="dev").code == 0
    after = inventory(checkout.cloud.endpoint)
    for kept in (before, after):
        kept.pop("task definitions", None)
    assert after == before
