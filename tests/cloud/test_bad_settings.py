"""A bad setting gets one sentence that names key, value and remedy, through the real engine, before any resource.

On a cloud of its own, in which nothing is, so that these tests need not wait for any other.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from devcloud.cloud.inventory import inventory
from devcloud.pulumi.stack import with_resources
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a wrong type": ({"slipway:worker": {"cpu": "half"}}, "slipway:worker.cpu", "half"),
    "an unknown key": ({"slipway:wroker": {"cpu": 512}}, "slipway:wroker", "slipway:worker"),
    "an unknown key in a group": ({"slipway:worker": {"memory": 3072}}, "slipway:worker.memory", "memoryMib"),
    "an illegal pair": ({"slipway:worker": {"cpu": 512, "memoryMib": 8192}}, "slipway:worker.memoryMib", "8192"),
    "a bad CIDR": ({"slipway:network": {"cidr": "10.20.0.0/99"}}, "slipway:network.cidr", "10.20.0.0/99"),
    "a public CIDR": ({"slipway:network": {"cidr": "8.8.0.0/16"}}, "slipway:network.cidr", "8.8.0.0/16"),
    "an empty name": ({"slipway:registry": {"namespace": ""}}, "slipway:registry.namespace", '""'),
    "a negative number": ({"slipway:host": {"rootVolumeGib": -1}}, "slipway:host.rootVolumeGib", "-1"),
    "a huge number": ({"slipway:jobs": {"retentionDays": 10**12}}, "slipway:jobs.retentionDays", str(10**12)),
    "a name in unicode": ({"slipway:registry": {"namespace": "schiffe-übers-meer"}}, "slipway:registry.namespace", "ü"),
    "a region without the host's instance type": (
        {"slipway:region": "eu-north-1"},
        "slipway:host.instanceType",
        "t3.s",
    ),
    "a missing secret": ({"slipway:databasePassword": None}, "slipway:databasePassword", "pulumi config set --secret"),
    "an instance type": ({"slipway:host": {"instanceType": "t2.smal"}}, "slipway:host.instanceType", "t2.small"),
    "a retention": ({"slipway:logs": {"retentionDays": 31}}, "slipway:logs.retentionDays", "31"),
    "a budget": ({"slipway:budget": {"monthlyUsd": 0}}, "slipway:budget.monthlyUsd", "0"),
    "a region": ({"slipway:region": "us-east-9"}, "slipway:region", "us-east-9"),
    "a group that is a list": ({"slipway:worker": ["cpu"]}, "slipway:worker", "cpu"),
}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of this repository on a cloud that runs and is empty."""
    copy = Checkout.on("test-settings")
    copy.copy()
    copy.end()
    assert copy.run("preview").code == 0
    yield copy
    copy.end()


@pytest.fixture
def empty(checkout: Checkout) -> Iterator[Checkout]:
    """The same for one test, which may change the copy."""
    yield checkout
    checkout.restore()


def everything(checkout: Checkout, stack: str = "local") -> tuple[dict[str, list[str]], int]:
    """What is in the account, and how many resources the stack's state has."""
    return inventory(checkout.cloud.aws), with_resources(checkout.cloud).get(stack, 0)


def test_it_is_refused_before_a_first_resource_too(empty: Checkout) -> None:
    local = (empty.root / "Pulumi.local.yaml").read_text()
    (empty.root / "Pulumi.fresh.yaml").write_text(local)
    empty.configure({"slipway:worker": {"cpu": 512, "memoryMib": 8192}}, stack="fresh")
    before = everything(empty, "fresh")
    done = empty.run("up", stack="fresh")
    assert done.code != 0
    assert "slipway:worker.memoryMib is 8192" in done.said
    assert everything(empty, "fresh") == before
    assert before[1] == 0


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_before_any_resource(empty: Checkout, what: str) -> None:
    values, key, also = BAD[what]
    before = everything(empty)
    assert before[1] == 0
    empty.configure(values)
    done = empty.run("up")
    assert done.code != 0
    assert "Traceback" not in done.said
    sentences = [line for line in done.said.splitlines() if key in line]
    assert len(sentences) == 1, done.said
    assert also in sentences[0]
    assert "creating" not in done.said
    assert everything(empty) == before


def test_a_context_over_its_limit_names_the_largest_paths(empty: Checkout) -> None:
    (empty.root / "app" / "api" / "huge.bin").write_bytes(b"\0" * (2 << 20))
    values = {"slipway:images": {"builder": "slipway-local", "contextLimitMib": {"api": 1}}}
    empty.configure(values)
    done = empty.run("up")
    assert done.code != 0
    assert "app/api/huge.bin (2.0 MiB)" in done.said
    assert "contextLimitMib.api" in done.said


def test_a_builder_that_is_not_there_is_refused_with_the_command_that_makes_it(empty: Checkout) -> None:
    empty.configure({"slipway:images": {"builder": "nobody"}})
    done = empty.run("preview")
    assert done.code != 0
    assert "slipway:images.builder is 'nobody', but this machine has no such builder; run `make builder`" in done.said


def test_the_local_stack_is_refused_by_any_other_account(empty: Checkout) -> None:
    empty.configure({"slipway:accountId": "999999999999"})
    done = empty.run("preview")
    assert done.code != 0
    assert "999999999999" in done.said or "AWS account ID not allowed" in done.said
