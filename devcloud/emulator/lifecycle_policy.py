"""Find what ECR refuses in the rules of a lifecycle policy and moto lets through."""

from collections.abc import Mapping, Sequence
from typing import Any


def problem(rules: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the reason why ECR refuses rules that are well-formed one by one, or None.

    The reasons are in ECR's words (recorded in badmintoncryer/cdk-preflight), but for the prefixes: there the sentence
    is that of the Amazon ECR user guide, "Lifecycle policy parameters".
    """
    priorities = [rule["rulePriority"] for rule in rules]
    if len(set(priorities)) < len(priorities):
        return "Duplicate priority in multiple rules"
    for rule in rules:
        selection = rule["selection"]
        if selection["tagStatus"] == "tagged" and not (
            selection.get("tagPrefixList") or selection.get("tagPatternList")
        ):
            return "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."
    last = max(priorities, default=0)
    if any(rule["selection"]["tagStatus"] == "any" and rule["rulePriority"] != last for rule in rules):
        return "Rule for tagStatus=ANY must have the lowest priority per storage class"
    if sum(rule["selection"]["tagStatus"] == "untagged" for rule in rules) > 1:
        return "Only one rule can select Untagged images per storage class."
    prefixes = [prefix for rule in rules for prefix in rule["selection"].get("tagPrefixList") or []]
    if len(set(prefixes)) < len(prefixes):
        return "The set of rules must contain a unique set of tag prefixes"
    return None
