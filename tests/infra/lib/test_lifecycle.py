"""Which images ECR may delete."""

import json
from typing import Any

from infra.lib.lifecycle import cache_policy, image_policy
from infra.releases.release import next_promoted_tag


def rules(policy: str) -> list[dict[str, Any]]:
    return sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"]))


POLICY = image_policy(keep_images=30, keep_promoted=10, promoted_to=["prod", "staging"])


def test_the_first_rules_keep_promoted_images_and_count_each_stacks_by_themselves() -> None:
    promoted = rules(POLICY)[:-1]
    assert [rule["selection"]["tagPrefixList"] for rule in promoted] == [
        ["release-prod."],
        ["release-staging."],
        ["release-"],
    ]
    assert {rule["selection"]["countNumber"] for rule in promoted} == {10}
    assert next_promoted_tag("prod", []).startswith("release-prod.")


def test_the_rule_for_all_images_comes_last_as_ecr_demands() -> None:
    last = rules(POLICY)[-1]
    assert (last["selection"]["tagStatus"], last["selection"]["countNumber"]) == ("any", 30)


def test_no_rule_looks_at_an_images_age() -> None:
    every = rules(POLICY) + rules(cache_policy(3))
    assert {rule["selection"]["countType"] for rule in every} == {"imageCountMoreThan"}


def test_a_cache_that_a_tag_names_is_never_deleted() -> None:
    (rule,) = rules(cache_policy(3))
    assert (rule["selection"]["tagStatus"], rule["selection"]["countNumber"]) == ("untagged", 3)
