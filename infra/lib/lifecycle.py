"""Which images ECR may delete: its lifecycle rules, which know nothing of what runs.

So every rule counts images and none looks at their age: the newest stay however old they are. A rule of a
lower priority never deletes what a rule before it was written for, whichever way that one decided.
"""

from collections.abc import Sequence
from typing import Any

from infra.lib.canonical_json import canonical_json

PROMOTED_PREFIX = "release-"
"""What the tags of promoted images start with (`release-<stack>.<n>`); no content tag does, for those are
hex."""


def promoted_prefix(stack: str) -> str:
    """What the tags of images promoted to `stack` start with. A stack's name has no dot: none is meant with `prod-eu`
    where `prod` is."""
    return f"{PROMOTED_PREFIX}{stack}."


def _expire_beyond(priority: int, count: int, description: str, **selection: Any) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": count},
        "action": {"type": "expire"},
    }


def image_policy(*, keep_images: int, keep_promoted: int, promoted_to: Sequence[str]) -> str:
    """The policy of a repository of images: the newest promoted ones are kept first, then the newest of
    the rest.

    Each stack of `promoted_to` has a count of its own, so that many promotions to one expire nothing that another
    runs; stacks that are not named share one. (Several prefixes in one rule would mean all of them at once.)
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
    """The policy of the repository of build caches.

    Each image has one tag there, which moves with every build. What a tag names is never deleted, or an image
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
