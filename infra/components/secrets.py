"""The product's secrets: kept in SSM as SecureStrings, handed over by reference, never by value."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class SecretsArgs:
    """Which secrets there are."""

    path: str
    """The path that their parameters stand below, `/<project>/<stack>`."""
    values: Mapping[str, pulumi.Input[str]]
    """Each secret's value by its name."""


class Secrets(pulumi.ComponentResource):
    """One SecureString parameter a secret."""

    arns: Mapping[str, pulumi.Output[str]]
    """ARNs that a container's definition refers to, by the secret's name."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Secrets", name, None, opts)
        self.arns = {
            secret: aws.ssm.Parameter(
                secret,
                name=f"{args.path}/{secret}",
                type="SecureString",
                value=pulumi.Output.secret(value),
                opts=pulumi.ResourceOptions(parent=self),
            ).arn
            for secret, value in args.values.items()
        }
        self.register_outputs({})
