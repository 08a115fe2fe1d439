"""ECR's lifecycle rules: the images that it may delete. ECR does not know which images run.

So the rules count images and ignore their age: the newest stay, however old they are. A rule of lower priority never
deletes an image that an earlier rule selects, even if that rule keeps it.
"""

from collections.abc import Sequence
from typing import Any

from infra.lib.canonical_json import canonical_json

PROMOTED_PREFIX = "release-"
"""Prefix of the tags of promoted images (`release-<stack>.<n>`). No content tag has it, because those are hex."""


def promoted_prefix(stack: str) -> str:
    """Return the prefix of the tags of images promoted to `stack`.

    Stack names cannot contain a dot, so the prefix for `prod` never matches tags of `prod-eu`.
    """
    return f"{PROMOTED_PREFIX}{stack}."


def _expire_beyond(priority: int, count: int, description: str, **selection: Any) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": count},
        "action": {"type": "expire"},
    }


def image_policy(*, keep_images: int, keep_promoted: int, promoted_to: Sequence[str]) -> str:
    """Return the policy of a repository of images: keep the newest promoted ones, then the newest of the rest.

    Each stack of `promoted_to` has its own count, so that many promotions to one stack expire no image of another; the
    other stacks share one. (A rule with several prefixes selects only images that have all of them.)
    """
    prefixes = [*(promoted_prefix(stack) for stack in promoted_to), PROMOTED_PREFIX]
    promoted = [
        _expire_beyond(
            priority,
            keep_promoted,
            f"keep the newest {keep_promoted} images tagged {prefix}...",
            tagStatus="tagged",
            tagPrefixList=[prefix],
        )
        for priority, prefix in enumerate(prefixes, start=1)
    ]
    rest = _expire_beyond(len(promoted) + 1, keep_images, f"keep the newest {keep_images} images", tagStatus="any")
    return canonical_json({"rules": [*promoted, rest]})


def cache_policy(keep_caches: int) -> str:
    """Return the policy of the repository of build caches.

    Each image has one tag there, which moves with every build. A tagged cache is never deleted: otherwise an image
    that is built once a month would lose its cache to one that is built every hour.
    """
    return canonical_json(
        {
            "rules": [
                _expire_beyond(
                    1,
                    keep_caches,
                    f"keep the newest {keep_caches} caches without a tag",
                    tagStatus="untagged",
                )
            ]
        }
    )
