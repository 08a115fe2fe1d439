"""Stacks side by side: the same digests from one to the next, by a file that a reviewer can read."""

import json

import pytest

from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def promoted(checkout: Checkout, dev_up: Done) -> Checkout:
    """dev up, promoted to prod, prod up with BuildKit stopped."""
    checkout.restore()
    done = checkout.run("promote", "--from", "dev", "--to", "prod")
    assert done.code == 0, done.said
    assert checkout.run("stop-builder").code == 0
    checkout.up("prod")
    assert "buildkit    stopped" in checkout.run("cloud-status").said
    return checkout


def test_the_same_digests_run_in_both_and_both_are_alive(promoted: Checkout) -> None:
    dev, prod = promoted.outputs("dev"), promoted.outputs("prod")
    assert dev["digests"] == prod["digests"]
    for outputs in (dev, prod):
        (service,) = promoted.client("ecs").describe_services(
            cluster=outputs["worker"]["cluster"], services=[outputs["worker"]["service"]]
        )["services"]
        assert service["status"] == "ACTIVE"


def test_only_the_release_file_changed(promoted: Checkout) -> None:
    assert promoted.git("status", "--porcelain", "--untracked-files=all").split() == ["??", "releases/prod.json"]
    written = json.loads((promoted.root / "releases" / "prod.json").read_text())
    assert {name: entry["digest"] for name, entry in written["images"].items()} == promoted.outputs("dev")["digests"]


def test_a_promoted_digest_has_a_tag_that_the_first_lifecycle_rule_keeps(promoted: Checkout) -> None:
    for image, digest in promoted.outputs("prod")["digests"].items():
        assert promoted.registry.digest(f"slipway/{image}", "release-prod.1") == digest
        policy = promoted.client("ecr").get_lifecycle_policy(repositoryName=f"slipway/{image}")["lifecyclePolicyText"]
        assert json.loads(policy)["rules"][0]["selection"]["tagPrefixList"] == ["release-prod."]


def test_promoting_the_same_again_changes_nothing(promoted: Checkout) -> None:
    written = (promoted.root / "releases" / "prod.json").read_text()
    done = promoted.run("promote", "--from", "dev", "--to", "prod")
    assert "release-prod.1; releases/prod.json named them already" in done.said
    assert (promoted.root / "releases" / "prod.json").read_text() == written


def test_a_fourth_stack_is_one_file(promoted: Checkout) -> None:
    prod = (promoted.root / "Pulumi.prod.yaml").read_text()
    (promoted.root / "Pulumi.staging.yaml").write_text(prod)
    planned = promoted.planned("staging")
    assert set(planned.values()) == {"create"}
    assert {"worker-task", "worker-service", "host", "release", "jobs"} <= planned.keys()
    assert not [name for name in planned if name.endswith(("-image", "-repository"))]


def test_a_release_that_is_not_there_is_refused_with_the_command_that_writes_it(promoted: Checkout) -> None:
    text = (promoted.root / "Pulumi.prod.yaml").read_text()
    (promoted.root / "Pulumi.qa.yaml").write_text(text.replace("releases/prod.json", "releases/qa.json"))
    done = promoted.run("preview", stack="qa")
    assert done.code != 0
    assert "`make promote FROM=<stack> TO=qa` writes it" in done.said
