"""Check a CloudFormation template against AWS's published rules: those of cfn-lint, and the few that it lacks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cfnlint.api import lint
from cfnlint.config import ManualArgs
from moto.core.exceptions import ServiceException

from devcloud.emulator import ec2_refusals, lifecycle_policy, ssm

# The longest part of a message that is shown: a rule about instance types names every type of a region.
SHOWN = 300

IGNORED_RULES: Mapping[str, str] = {
    "W3010": "a zone by its name is what the program chooses at preview, from the zones that the region lists",
}
"""cfn-lint's rules that do not fit a program, and why."""


def problems(template: Mapping[str, Any], regions: Sequence[str]) -> list[str]:
    """Return what AWS would refuse in any of the regions, one line a problem: rule, place, message."""
    matches = lint(
        json.dumps(template),
        config=ManualArgs(regions=list(regions), ignore_checks=sorted(IGNORED_RULES)),
    )
    found = [f"{match.rule.id} {_place(match)}: {match.message[:SHOWN]}" for match in matches]
    return [*found, *_security_groups(template), *_lifecycle_policies(template), *_parameters(template)]


def _place(match: Any) -> str:
    return ".".join(str(part) for part in match.path[1:] if part != "Properties")


def _properties(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource["Properties"]


def _security_groups(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield names of groups and descriptions of rules that EC2 refuses: cfn-lint has no pattern for them."""
    for name, properties in _properties(template, "AWS::EC2::SecurityGroup"):
        try:
            ec2_refusals.group_name(properties["GroupName"])
        except ServiceException as refusal:
            yield f"GroupName {name}: {refusal}"
    for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        for name, properties in _properties(template, kind):
            if ec2_refusals.ALLOWED_TEXT.fullmatch(properties.get("Description", "")) is None:
                yield f"Description {name}: {properties['Description']!r} is not a rule's description that EC2 accepts"


def _lifecycle_policies(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the rules of a lifecycle policy taken together."""
    for name, properties in _properties(template, "AWS::ECR::Repository"):
        if "LifecyclePolicy" in properties:
            rules = json.loads(properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
            if problem := lifecycle_policy.problem(rules):
                yield f"LifecyclePolicy {name}: {problem}"


def _parameters(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield parameters that are longer than a standard one may be."""
    for name, properties in _properties(template, "AWS::SSM::Parameter"):
        if len(properties["Value"].encode()) > ssm.STANDARD_LIMIT:
            yield f"Value {name}: it has more than {ssm.STANDARD_LIMIT} bytes"
