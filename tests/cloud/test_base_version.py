"""The base by its version: named once, pinned, and missing."""

from collections.abc import Iterator

import pytest
import yaml

from infra.lib import base_version
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

REPOSITORY = "slipway-local/base"


def pin(checkout: Checkout, version: str) -> None:
    """Let the stack `local` take the base of a version."""
    document = yaml.safe_load((checkout.root / "Pulumi.local.yaml").read_text())
    images = document["config"]["slipway:images"]
    checkout.configure({"slipway:images": {**images, "baseVersion": version}})


@pytest.fixture
def as_committed(up: Checkout) -> Iterator[Checkout]:
    """What runs is what is committed, before and after."""
    up.up()
    yield up
    up.restore()
    up.up()


def test_the_base_that_was_built_has_the_tag_of_its_version(up: Checkout) -> None:
    version = base_version.read(up.root)
    assert up.registry.digest(REPOSITORY, version) == up.outputs()["digests"]["base"]


def test_a_version_that_is_missing_is_one_sentence_with_the_command_that_builds_it(up: Checkout) -> None:
    pin(up, "9.9.9")
    done = up.run("preview")
    assert done.code != 0
    assert "Traceback" not in done.said
    sentences = {line.strip() for line in done.said.splitlines() if "slipway:images.baseVersion" in line}
    assert any(f'is "9.9.9", but {REPOSITORY} has no image of that version' in sentence for sentence in sentences)
    assert "`make base VERSION=9.9.9 STACK=local` builds it" in done.said


def test_the_command_refuses_a_version_that_this_checkout_is_not(up: Checkout) -> None:
    done = up.run("base", "9.9.9")
    assert done.code != 0
    assert "VERSION=9.9.9 is not what images/base/VERSION says here" in done.said


def test_with_its_base_pinned_a_stack_runs_the_same_and_no_change_of_the_base_counts(as_committed: Checkout) -> None:
    up, before = as_committed, as_committed.outputs()
    pin(up, base_version.read(up.root))
    planned = up.planned()
    assert planned["base-image"] == "delete"  # from the state alone: the image stays in its repository
    up.up()
    assert up.outputs()["digests"] == before["digests"]
    assert up.outputs()["contentTags"]["base"] == before["contentTags"]["base"]
    up.append("images/base/requirements-cpu.lock", "# a line")
    up.append("images/base/requirements-pypi.lock", "# a line")
    up.append("images/base/Dockerfile", "# a line")
    assert up.planned() == {}


def test_a_pinned_stack_builds_its_base_by_the_command_that_the_sentence_names(as_committed: Checkout) -> None:
    up, version = as_committed, base_version.read(as_committed.root)
    pin(up, version)
    up.up()
    done = up.run("base", version)
    assert done.code == 0, done.said
    assert f"is {version} now" in done.said
