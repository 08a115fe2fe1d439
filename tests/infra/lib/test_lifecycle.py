"""Which images ECR may delete."""

import json
from typing import Any

from infra.lib.lifecycle import cache_policy, image_policy
from infra.lib.release import next_promoted_tag


def rules(policy: str) -> list[dict[str, Any]]:
    return sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"]))


def test_the_first_rule_keeps_promoted_images() -> None:
    first = rules(image_policy(keep_images=30, keep_promoted=10))[0]
    assert first["selection"]["tagPrefixList"] == ["release-"]
    assert first["selection"]["countNumber"] == 10
    assert next_promoted_tag("prod", []).startswith(first["selection"]["tagPrefixList"][0])


def test_the_rule_for_all_images_comes_last_as_ecr_demands() -> None:
    last = rules(image_policy(keep_images=30, keep_promoted=10))[-1]
    assert (last["selection"]["tagStatus"], last["selection"]["countNumber"]) == ("any", 30)


def test_no_rule_looks_at_an_images_age() -> None:
    every = rules(image_policy(keep_images=30, keep_promoted=10)) + rules(cache_policy(3))
    assert {rule["selection"]["countType"] for rule in every} == {"imageCountMoreThan"}


def test_a_cache_that_a_tag_names_is_never_deleted() -> None:
    (rule,) = rules(cache_policy(3))
    assert (rule["selection"]["tagStatus"], rule["selection"]["countNumber"]) == ("untagged", 3)
