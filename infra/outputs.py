"""The outputs of a stack, typed: the program writes them; promotion, the cloud on this machine and tests read them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from infra.lib.errors import InputError
from infra.lib.messages import key_at
from infra.lib.schema import Group


class Output(Group):
    """A part of the outputs: frozen, its keys in camelCase; numbers may come as floats."""

    model_config = ConfigDict(strict=False, alias_generator=to_camel)


class WorkerOutput(Output):
    """The tasks that take jobs, and their queue."""

    cluster: str
    service: str
    task_definition: str
    queue_url: str
    dead_letter_queue_url: str
    self_test: tuple[str, ...]


class StackOutputs(Output):
    """All that a stack exports."""

    region: str
    images: Mapping[str, str]
    """`repository@digest` by image."""
    digests: Mapping[str, str]
    content_tags: Mapping[str, str]
    size_budgets_mb: Mapping[str, int]
    api_url: str
    api_address: str
    api_instance_id: str
    database_host: str
    """The host's private address, which outlasts every instance."""
    release_parameter: str
    verified_parameter: str
    """Name of the parameter with the images that were verified."""
    # Pulumi does not keep an output that is nothing.
    worker: WorkerOutput | None = None
    snapshot_policy: str | None = None
    """Id of the policy that makes snapshots of the data volume."""
    smoke_test: str | None = None
    """Module that tries what was deployed."""
    dashboard_url: str
    """Address of the CloudWatch dashboard in AWS's console."""
    monthly_cost_usd: float
    monthly_cost_usd_by_part: Mapping[str, float]
    monthly_budget_usd: int


class OutputsError(InputError):
    """A stack's outputs are not what this version of the program exports."""


def parse(stack: str, outputs: Mapping[str, Any]) -> StackOutputs:
    """Return the outputs of a stack. Raises OutputsError: another version of the program deployed it, or none did."""
    try:
        return StackOutputs.model_validate(outputs, by_alias=True, by_name=False)
    except ValidationError as error:
        first = key_at("", error.errors(include_url=False)[0]["loc"])
        raise OutputsError(
            f"Stack {stack} does not export what this version of the program does ({first} is missing or of another "
            "kind): bring it up first."
        ) from None
