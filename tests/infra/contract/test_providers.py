"""Every property that the program uses exists in both providers: pulumi-aws 7.51, which users get, and Terraform's AWS
provider 5.100, over which the rehearsal runs if the official plugin cannot be had.

A provider drops or refuses a property that it does not know, and in the rehearsal alone nobody would see it.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pulumi import _types

from devcloud.plugins import aws_names
from devcloud.toolchain import terraform as toolchain_terraform
from tests.infra.conftest import BUDGET, HOSTED, Asked, Run
from tests.infra.contract import terraform

pytestmark = pytest.mark.contract


@pytest.fixture
def asked(run: Run) -> list[Asked]:
    """Return all resources and look-ups of a stack with a budget and a database: every kind that is declared."""
    cloud, _ = run("dev", {**BUDGET, **HOSTED})
    return [one for one in [*cloud.asked, *cloud.looked_up] if one.type.startswith("aws:")]


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each property in the inputs, such as `(metadataOptions, httpTokens)`."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield (*path, name)
            yield from paths(item, (*path, name))
    if isinstance(value, list):
        for item in value:
            yield from paths(item, path)


MAPS = {"dimensions", "tags", "tagsToAdd", "targetTags", "value"}
"""Properties whose keys are the user's own, or the engine's wrappers."""


def used(one: Asked) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the properties that a resource uses, but for the keys of maps and the engine's wrappers."""
    for path in sorted(set(paths(one.inputs))):
        if not MAPS & set(path[:-1]):
            yield path


# pulumi-aws: the classes of the SDK.


def arguments_of(token: str) -> type:
    """Return the SDK's class of a resource's arguments: `aws:ec2/vpc:Vpc` -> `pulumi_aws.ec2.VpcArgs`."""
    _, place, name = token.split(":")
    found: type = getattr(importlib.import_module(f"pulumi_aws.{place.partition('/')[0]}"), f"{name}Args")
    return found


def missing_in_sdk(kind: type, path: tuple[str, ...]) -> bool:
    """Return True if the SDK's class, or one inside it, lacks a property."""
    types = _types.input_type_types(kind)
    names = _types.input_type_py_to_pulumi_names(kind)
    by_pulumi_name = {names.get(name, name): found for name, found in types.items()}
    if path[0] not in by_pulumi_name:
        return True
    if len(path) == 1:
        return False
    nested = [found for found in leaves(by_pulumi_name[path[0]]) if _types.is_input_type(found)]
    return all(missing_in_sdk(found, path[1:]) for found in nested)


def leaves(annotation: Any) -> Iterator[type]:
    """Yield the classes in an annotation such as `Optional[Input[Sequence[Input[RouteTableRouteArgs]]]]`."""
    inside = get_args(annotation)
    if not inside and isinstance(annotation, type):
        yield annotation
    for part in inside:
        yield from leaves(part)


def test_every_property_exists_in_the_provider_that_users_get(asked: list[Asked]) -> None:
    missing = [
        (one.type, ".".join(path))
        for one in asked
        if "/get" not in one.type
        for path in used(one)
        if missing_in_sdk(arguments_of(one.type), path)
    ]
    assert missing == []


@pytest.mark.parametrize(
    "path", [("metadataOptions", "httpHops"), ("instanceKind",), ("rootBlockDevice", "encryption")], ids=".".join
)
def test_a_property_that_users_provider_does_not_have_is_found(path: tuple[str, ...]) -> None:
    assert missing_in_sdk(arguments_of("aws:ec2/instance:Instance"), path)


# Terraform's provider: its own schema.

Schemas = tuple[dict[str, terraform.Block], dict[str, terraform.Block]]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    """Return the schemas of the provider that is on this machine."""
    binary = toolchain_terraform.provider()
    if binary is None:
        pytest.skip("this machine has no Terraform provider: the rehearsal runs the plugin that users get")
    return terraform.schema(binary)


def snake(name: str) -> str:
    """Return a name as Terraform spells it: `cidrBlock` -> `cidr_block`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def block_of(schemas: Schemas, token: str) -> terraform.Block:
    """Return the schema of a resource or look-up of pulumi-aws, by the names that the forwarder uses."""
    name = aws_names.token(token).rpartition(":")[2]
    resources, data_sources = schemas
    if name.startswith("get"):
        return data_sources[f"aws_{snake(name.removeprefix('get'))}"]
    return resources[f"aws_{snake(name)}"]


def singulars(name: str) -> set[str]:
    """Return the names that Terraform may have for a block that Pulumi names in the plural."""
    return {name, name.removesuffix("s"), re.sub("ies$", "y", name)}


def missing_in_terraform(block: terraform.Block, path: tuple[str, ...]) -> bool:
    """Return True if a block, or one inside it, lacks a property. Pulumi names a block that repeats in the plural."""
    name = snake(path[0])
    if name in block.attributes:
        return False
    nested = [found for type_name, found in block.blocks.items() if type_name in singulars(name)]
    if not nested:
        return True
    return len(path) > 1 and missing_in_terraform(nested[0], path[1:])


def test_every_property_exists_in_the_provider_of_the_rehearsal(asked: list[Asked], schemas: Schemas) -> None:
    renamed = aws_names.RENAMED
    missing = [
        (one.type, ".".join(path))
        for one in asked
        for path in used(one)
        if missing_in_terraform(
            block_of(schemas, one.type), (renamed.get(one.type, {}).get(path[0], path[0]), *path[1:])
        )
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("aws:ecr/repository:Repository", ("imageTagMutabilityExclusionFilters",)),
        ("aws:ec2/instance:Instance", ("region",)),
        ("aws:ecs/service:Service", ("deploymentConfiguration", "strategy")),
    ],
)
def test_a_property_that_came_after_the_rehearsals_provider_is_found(
    schemas: Schemas, token: str, path: tuple[str, ...]
) -> None:
    assert not missing_in_sdk(arguments_of(token), path)
    assert missing_in_terraform(block_of(schemas, token), path)


def single_in_sdk(kind: type, block: terraform.Block, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the properties that the SDK takes as one value and Terraform's provider as a list."""
    names = _types.input_type_py_to_pulumi_names(kind)
    for name, annotation in _types.input_type_types(kind).items():
        own = (*path, names.get(name, name))
        spelled = snake(own[-1])
        if spelled in block.lists and "Sequence" not in str(annotation):
            yield own
        inside = [block.blocks[each] for each in singulars(spelled) if each in block.blocks]
        for found in leaves(annotation):
            if inside and _types.is_input_type(found):
                yield from single_in_sdk(found, inside[0], own)


def test_a_list_that_users_provider_takes_as_one_value_is_known_to_the_forwarder(
    asked: list[Asked], schemas: Schemas
) -> None:
    tokens = {one.type for one in asked if "/get" not in one.type}
    found = {token: tuple(sorted({*single_in_sdk(arguments_of(token), block_of(schemas, token))})) for token in tokens}
    known = {token: paths for token, paths in aws_names.SINGLE_VALUES.items() if token in tokens}
    assert {token: paths for token, paths in found.items() if paths} == known
