"""Warnings of what an `up` will interrupt, in a preview too: services of which the host runs only one."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

CONSEQUENCE = "requests that need it wait or fail until it is ready again"


@dataclass(frozen=True)
class SingleServiceArgs:
    """A service of which only one may run, such as a database."""

    made_from: Mapping[str, object]
    """All that its container is made from, but for secrets."""


class SingleService(pulumi.ComponentResource):
    """Keep in the state what such a service is made from, so that the next preview can compare it."""

    def __init__(self, name: str, args: SingleServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        def warn(hook: pulumi.ResourceHookArgs) -> None:
            pulumi.log.warn(restart(name, hook.old_inputs or {}, hook.new_inputs or {}))

        super().__init__(
            "slipway:index:SingleService",
            name,
            {"madeFrom": dict(args.made_from)},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=on_update(f"{name}-restarts", warn))),
        )
        self.register_outputs({})


def on_update(name: str, warn: pulumi.ResourceHookFunction) -> pulumi.ResourceHookBinding:
    """Return the binding that warns before a resource is updated, or would be."""
    options = pulumi.ResourceHookOptions(on_dry_run=True)
    return pulumi.ResourceHookBinding(before_update=[pulumi.ResourceHook(name, warn, options)])


def restart(service: str, old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Return the sentence about a service that restarts, given the inputs in the state and those of the program."""
    before, after = (inputs.get("madeFrom") or {} for inputs in (old, new))
    assert isinstance(before, Mapping)  # noqa: S101 - for mypy: it is an input of ours
    assert isinstance(after, Mapping)  # noqa: S101
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return f"{service} restarts, since its {' and '.join(keys)} will change: {CONSEQUENCE}."


def new_password(service: str) -> str:
    """Return the sentence about a service whose password changes."""
    return (
        f"{service} restarts with another password: requests that need it fail until the new services serve, since "
        "those that run have the old one."
    )
