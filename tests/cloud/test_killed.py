"""An `up` that is killed loses nothing: the next one goes on.

What the killed ones leave would show here, or in `make down`, which refuses to end a cloud with anything left in it.
"""

import pytest

from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


@pytest.mark.parametrize("command", ["preview", "refresh"])
def test_after_it_there_is_nothing_to_change(checkout: Checkout, dev_up: Done, command: str) -> None:
    checkout.restore()
    done = checkout.run(command, "--expect-no-changes", stack="dev")
    assert done.code == 0, done.said
