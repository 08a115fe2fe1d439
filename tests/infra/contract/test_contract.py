"""AWS's published schemas allow what every stack asks for, in each of several regions."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import program
from infra.releases.release import ReleasedImage, ReleaseFile, write_release_file
from infra.settings.stack_file import read_values
from tests.infra.conftest import BUDGET, DIGESTS, HOSTED, ROOT, Asked, Run, settings_of
from tests.infra.contract.cloudformation import KINDS, UNMAPPED, UnmappedError, template
from tests.infra.contract.lint import problems

pytestmark = pytest.mark.contract

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2")
"""Regions that offer everything that a stack asks for by default."""

STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
LONG = "a23456789-123456789z"
"""The longest name that a stack may have."""

Template = dict[str, Any]


@pytest.fixture
def declared(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Asked]]:
    """Run the program for a stack, with its own file if it has one, and return the declared resources."""
    images = {image: ReleasedImage(digest, "0" * 20) for image, digest in DIGESTS.items()}
    write_release_file(tmp_path / "releases" / "prod.json", ReleaseFile("dev", images))

    def resources(stack: str, values: dict[str, Any] | None = None) -> list[Asked]:
        file = ROOT / f"Pulumi.{stack}.yaml"
        given: dict[str, Any] = dict(read_values(file, "slipway")[0]) if file.exists() else {}
        if "slipway:databasePassword" in given:
            given = {**HOSTED, **given}
        builder = settings_of(stack, {**given, **(values or {})}).images.builder
        (tmp_path / "buildx" / "instances" / builder).write_text('{"Driver": "docker-container"}')
        if "releases/" in given.get("slipway:images", ""):
            monkeypatch.setattr(program, "ROOT", tmp_path)
        cloud, _ = run(stack, {**given, **(values or {})})
        return cloud.asked

    return resources


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_asks_for_nothing_that_aws_refuses(declared: Callable[..., list[Asked]], stack: str) -> None:
    assert problems(template(declared(stack, BUDGET)), REGIONS) == []


def test_the_longest_names_are_short_enough_for_aws(declared: Callable[..., list[Asked]]) -> None:
    assert len(LONG) == 20
    assert problems(template(declared(LONG, {**BUDGET, **HOSTED})), REGIONS) == []


def test_every_kind_is_used(declared: Callable[..., list[Asked]]) -> None:
    used = {asked.type for asked in declared("dev", {**BUDGET, **HOSTED})}
    assert used >= KINDS.keys() | UNMAPPED.keys()


def test_a_resource_type_that_is_not_mapped_is_refused() -> None:
    with pytest.raises(UnmappedError, match="aws:lambda/function:Function"):
        template([Asked("aws:lambda/function:Function", "thumbnails", {})])


def changed(resource: str, /, **inputs: Any) -> Callable[[list[Asked]], Asked]:
    """Return one resource with other inputs."""

    def change(asked: list[Asked]) -> Asked:
        (one,) = [one for one in asked if one.name == resource and one.type.startswith("aws:")]
        return dataclasses.replace(one, inputs={**one.inputs, **inputs})

    return change


BAD_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Alow", "Action": ["s3:GetObject"], "Resource": ["*"]}]}
)
UNKNOWN_ACTION = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ecr:PullImage"], "Resource": ["*"]}]}
)
TWICE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": priority,
                "description": "keep the newest images of a promotion to prod",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPrefixList": ["release-prod."],
                    "countType": "imageCountMoreThan",
                    "countNumber": 10,
                },
                "action": {"type": "expire"},
            }
            for priority in (1, 2)
        ]
    }
)

REFUSED: dict[str, tuple[Callable[[list[Asked]], Asked], str]] = {
    "an apostrophe in a group's description (commit 7e22800)": (
        changed("worker-group", description="The worker's tasks"),
        "GroupDescription",
    ),
    "a group that is named like an id": (changed("host-group", name="sg-slipway"), "GroupName"),
    "an illegal size of a Fargate task": (changed("worker-task", memory="8192"), "not compatible with memory"),
    "an effect that IAM does not know": (changed("host-policy", policy=BAD_POLICY), "'Alow' is not one of"),
    "an action that no service has": (changed("host-policy", policy=UNKNOWN_ACTION), "'pullimage' is not one of"),
    "a retention that CloudWatch does not offer": (changed("api-logs", retentionInDays=31), "31 is not one of"),
    "a repository with upper case": (changed("api-repository", name="Slipway/api"), "RepositoryName"),
    "a queue that waits too long": (changed("jobs", receiveWaitTimeSeconds=21), "ReceiveMessageWaitTimeSeconds"),
    "a property that AWS does not have": (changed("vpc", dnsSupport=True), "DnsSupport"),
    "an apostrophe in a rule's description": (
        changed("host-to-https", description="the world's networks"),
        "not a rule's description that EC2 accepts",
    ),
    "a parameter that is too long": (changed("release", insecureValue="x" * 4097), "more than 4096 bytes"),
    "a colon in the description of a snapshot policy": (
        changed("snapshots-policy", description="Nightly snapshots: slipway-dev"),
        "Description",
    ),
    "a type of parameter that SSM does not have": (changed("release", type="Secret"), "'Secret' is not one of"),
    "a tag prefix in two rules of a lifecycle policy": (
        changed("api-lifecycle", policy=TWICE),
        "unique set of tag prefixes",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_the_contract_refuses(declared: Callable[..., list[Asked]], fault: str) -> None:
    change, said = REFUSED[fault]
    (problem,) = problems(template([change(declared("dev", HOSTED))]), REGIONS)
    assert said in problem


def test_an_instance_type_that_a_region_does_not_offer_is_refused(declared: Callable[..., list[Asked]]) -> None:
    (problem,) = problems(template(declared("dev")), ["eu-north-1"])
    assert problem.startswith("E3628 Host.InstanceType: 't2.small' is not one of")
