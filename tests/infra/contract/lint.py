"""Check a CloudFormation template against AWS's published rules: cfn-lint's, and the few that it lacks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cfnlint.api import lint
from cfnlint.config import ManualArgs

# The longest part of a message that is shown: a rule about instance types names every type of a region.
SHOWN = 300

NOT_ASKED: Mapping[str, str] = {
    "W3010": "a zone by its name is what the program chooses at preview, from the zones that the region lists",
}
"""cfn-lint's rules that do not fit a program, and why."""

GROUP_NAME = re.compile(r"(?!sg-)[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
"""EC2 API reference, CreateSecurityGroup, GroupName; cfn-lint knows no pattern for it."""


def problems(template: Mapping[str, Any], regions: Sequence[str]) -> list[str]:
    """Return what AWS would refuse in any of the regions, one line a problem: rule, place, message."""
    matches = lint(
        json.dumps(template),
        config=ManualArgs(regions=list(regions), ignore_checks=sorted(NOT_ASKED)),
    )
    found = [f"{match.rule.id} {_place(match)}: {match.message[:SHOWN]}" for match in matches]
    return [*found, *_group_names(template), *_lifecycle_policies(template)]


def _place(match: Any) -> str:
    return ".".join(str(part) for part in match.path[1:] if part != "Properties")


def _properties(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource["Properties"]


def _group_names(template: Mapping[str, Any]) -> Iterator[str]:
    for name, properties in _properties(template, "AWS::EC2::SecurityGroup"):
        if GROUP_NAME.fullmatch(properties["GroupName"]) is None:
            yield f"GroupName {name}: {properties['GroupName']!r} is not a name that EC2 accepts"


def _lifecycle_policies(template: Mapping[str, Any]) -> Iterator[str]:
    """Amazon ECR user guide, "Lifecycle policy parameters": each prefix and each priority once, `any` last."""
    for name, properties in _properties(template, "AWS::ECR::Repository"):
        if "LifecyclePolicy" not in properties:
            continue
        rules = json.loads(properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        rules.sort(key=lambda rule: rule["rulePriority"])
        prefixes = [prefix for rule in rules for prefix in rule["selection"].get("tagPrefixList", [])]
        priorities = [rule["rulePriority"] for rule in rules]
        for what, values in (("tag prefix", prefixes), ("priority", priorities)):
            if len(set(values)) < len(values):
                yield f"LifecyclePolicy {name}: a {what} is in two rules"
        if any(rule["selection"]["tagStatus"] == "any" for rule in rules[:-1]):
            yield f"LifecyclePolicy {name}: a rule for `any` image must have the highest priority number"
