"""The product's secrets: kept in SSM as SecureStrings, handed over by reference, never by value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.components import interruptions


@dataclass(frozen=True)
class SecretsArgs:
    """Which secrets there are."""

    path: str
    """The path that their parameters stand below, `/<project>/<stack>`."""
    values: Mapping[str, pulumi.Input[str]]
    """Each secret's value by its name."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """Sentences about secrets whose change interrupts something, by the secret's name."""


class Secrets(pulumi.ComponentResource):
    """One SecureString parameter a secret."""

    arns: Mapping[str, pulumi.Output[str]]
    """The parameters' ARNs, which a container's definition refers to, by the secret's name."""
    versions: Mapping[str, pulumi.Output[int]]
    """The parameters' versions, by the secret's name: unknown in a preview that changes the value."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Secrets", name, None, opts)
        parameters = {
            secret: aws.ssm.Parameter(
                secret,
                name=f"{args.path}/{secret}",
                type="SecureString",
                value=pulumi.Output.secret(value),
                opts=pulumi.ResourceOptions(parent=self, hooks=_hooks(secret, args.warnings.get(secret))),
            )
            for secret, value in args.values.items()
        }
        self.arns = {secret: parameter.arn for secret, parameter in parameters.items()}
        self.versions = {secret: parameter.version for secret, parameter in parameters.items()}
        self.register_outputs({})


def _hooks(secret: str, warning: str | None) -> pulumi.ResourceHookBinding | None:
    """Return the binding that warns of a change, if there is something to warn of."""
    if warning is None:
        return None
    return interruptions.on_update(f"{secret}-changes", lambda _: pulumi.log.warn(warning))
