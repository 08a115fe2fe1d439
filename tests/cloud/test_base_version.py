"""The base by its version: named once, pinned, and missing."""

from typing import Any

import pytest
import yaml

from infra.builds import base_version
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

REPOSITORY = "slipway-local/base"


def pin(checkout: Checkout, version: str) -> None:
    """Let the stack `local` take the base of a version."""
    document = yaml.safe_load((checkout.root / "Pulumi.local.yaml").read_text())
    images = document["config"]["slipway:images"]
    checkout.configure({"slipway:images": {**images, "baseVersion": version}})


@pytest.fixture(scope="module")
def pinned(checkout: Checkout, committed: dict[str, Any]) -> Checkout:
    """The stack `local` up with its base pinned to the version that it built before."""
    pin(checkout, base_version.read(checkout.root))
    assert checkout.planned()["base-image"] == "delete"  # from the state alone: the image stays in its repository
    checkout.up()
    return checkout


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


def test_with_its_base_pinned_a_stack_runs_the_same(pinned: Checkout, committed: dict[str, Any]) -> None:
    outputs = pinned.outputs()
    assert outputs["digests"] == committed["digests"]
    assert outputs["contentTags"]["base"] == committed["contentTags"]["base"]


def test_no_change_of_a_pinned_base_counts(pinned: Checkout) -> None:
    for file in ("requirements-cpu.lock", "requirements-pypi.lock", "Dockerfile"):
        pinned.append(f"images/base/{file}", "# a line")
    assert pinned.planned() == {}
    pinned.git("checkout", "--quiet", "--", "images/base")


def test_a_pinned_stack_builds_its_base_by_the_command_that_the_sentence_names(pinned: Checkout) -> None:
    version = base_version.read(pinned.root)
    done = pinned.run("base", version)
    assert done.code == 0, done.said
    assert f"is {version} now" in done.said
