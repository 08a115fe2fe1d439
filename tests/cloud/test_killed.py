"""An `up` that is killed loses nothing: the next one goes on."""

import os
import random
import signal
import subprocess
import time

import pytest

from devcloud.emulator.inventory import inventory
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


def kill(checkout: Checkout, seconds: float) -> None:
    """Start an `up` and kill it, the engine with it, after so many seconds."""
    process = subprocess.Popen(
        checkout.call("up", stack="dev"),
        cwd=checkout.root,
        env=checkout.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    engines = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in engines.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    process.kill()
    process.wait()


def test_it_converges_and_leaves_nothing_behind(checkout: Checkout, first_up: Done) -> None:
    checkout.restore()
    checkout.run("down", stack="dev")
    before = inventory(checkout.cloud.endpoint)
    # Once in the first seconds of a first `up`, and twice at any moment of what is left.
    for seconds in (8, random.uniform(5, 25), random.uniform(5, 25)):
        kill(checkout, seconds)
    checkout.up("dev")
    assert checkout.run("preview", "--expect-no-changes", stack="dev").code == 0
    assert checkout.run("down", stack="dev").code == 0
    after = inventory(checkout.cloud.endpoint)
    for kept in (before, after):
        kept.pop("task definitions", None)
    assert after == before
