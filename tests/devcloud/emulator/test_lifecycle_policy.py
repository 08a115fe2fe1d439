"""ECR refuses some rules of a lifecycle policy only in combination."""

import json
from typing import Any

from devcloud.emulator.lifecycle_policy import problem
from infra.lib import lifecycle


def rule(priority: int, status: str = "tagged", **selection: Any) -> dict[str, Any]:
    """Return a rule of a policy."""
    return {"rulePriority": priority, "selection": {"tagStatus": status, **selection}}


def test_a_prefix_in_two_rules_is_refused() -> None:
    twice = [rule(1, tagPrefixList=["release-"]), rule(2, tagPrefixList=["release-"])]
    assert problem(twice) == "The set of rules must contain a unique set of tag prefixes"


def test_a_priority_in_two_rules_is_refused() -> None:
    assert problem([rule(1, "untagged"), rule(1, "any")]) == "Duplicate priority in multiple rules"


def test_a_rule_for_any_image_comes_last() -> None:
    assert problem([rule(1, "any"), rule(2, "untagged")]) == (
        "Rule for tagStatus=ANY must have the lowest priority per storage class"
    )


def test_a_rule_for_tagged_images_names_prefixes_or_patterns() -> None:
    assert problem([rule(1)]) == "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."
    assert problem([rule(1, tagPatternList=["v*"])]) is None


def test_one_rule_for_untagged_images_is_enough() -> None:
    assert problem([rule(1, "untagged"), rule(2, "untagged")]) == (
        "Only one rule can select Untagged images per storage class."
    )


def test_our_own_policies_pass() -> None:
    image = lifecycle.image_policy(keep_images=30, keep_promoted=10, promoted_to=("prod", "staging"))
    for policy in (image, lifecycle.cache_policy(3)):
        assert problem(json.loads(policy)["rules"]) is None
