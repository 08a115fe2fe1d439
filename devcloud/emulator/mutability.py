"""Whether a tag of an ECR repository may move: one answer for the AWS API and for the registry protocol."""

import fnmatch
from collections.abc import Sequence


def is_immutable(setting: str, exclusions: Sequence[str], tag: str) -> bool:
    """Whether `tag` may not come to name another digest.

    `setting` is the repository's imageTagMutability; `exclusions` are the wildcards (`cache-*`) of its
    imageTagMutabilityExclusionFilters, which turn the setting around for the tags that they match.
    """
    excluded = any(fnmatch.fnmatchcase(tag, wildcard) for wildcard in exclusions)
    return setting.startswith("IMMUTABLE") != (excluded and setting.endswith("_WITH_EXCLUSION"))


def refusal(tag: str, repository: str) -> str:
    """ECR's words for a tag that may not move."""
    return (
        f"The image tag '{tag}' already exists in the '{repository}' repository "
        "and cannot be overwritten because the tag is immutable."
    )
