"""`python -m devcloud COMMAND`: one command of the Makefile."""

import xmlrpc.client

from botocore.exceptions import BotoCoreError, ClientError

from devcloud.cli import deploy, images, inspect, live, rollback, validate  # noqa: F401  each declares its commands
from devcloud.cli.context import Command, cli
from devcloud.cloud.cloud import Cloud
from devcloud.pulumi import stack_config
from devcloud.util.commands import invoke
from devcloud.util.console import say
from devcloud.util.registry import RegistryError

SERVICE_ERRORS = (RegistryError, BotoCoreError, ClientError, xmlrpc.client.Error, ConnectionError)
"""The exceptions of a command whose cloud loses a service under it."""


def main() -> int:
    """Run one command. Return 0, or 2 for a wrong call, 3 for an unfit machine, 1 for a failure of the work."""
    command = Command(Cloud.named("default"), stack_config.LOCAL)
    try:
        return invoke(cli, "devcloud", command)
    except SERVICE_ERRORS as problem:
        say(f"\nA service of cloud {command.cloud.name} did not answer ({type(problem).__name__}: {problem}).")
        say("`make cloud-status` shows what runs, `make cloud-logs` shows its logs, and `make up` starts what is down.")
        return 1
