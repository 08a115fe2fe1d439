"""`python -m devcloud COMMAND`: one command of the Makefile."""

import argparse
import xmlrpc.client
from collections.abc import Callable

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from devcloud.cli import deploy, images, inspect, validate
from devcloud.cli.context import Command
from devcloud.cloud.cloud import Cloud
from devcloud.pulumi import stack_config
from devcloud.util.console import UserError, say

SERVICE_ERRORS = (httpx.HTTPError, BotoCoreError, ClientError, xmlrpc.client.Error, ConnectionError)
"""The exceptions of a command whose cloud loses a service under it."""

COMMANDS: dict[str, Callable[[Command], int | None]] = {
    "up": deploy.up,
    "preview": deploy.preview,
    "refresh": deploy.refresh,
    "build": images.build,
    "base": images.base,
    "report": images.report,
    "down": deploy.down,
    "clean": deploy.clean,
    "status": inspect.status,
    "logs": inspect.logs,
    "outputs": inspect.outputs,
    "env": inspect.env,
    "promote": deploy.promote,
    "builder": images.builder,
    "validate": lambda command: validate.run(command.cloud),
    "cache": images.cache,
    "clean-cache": images.clean_cache,
    "stop-builder": images.stop_builder,
    "toolchain": inspect.toolchain,
}


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="devcloud", description="Slipway on a cloud on this machine.", allow_abbrev=False
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--cloud", default="default")
    parser.add_argument("--stack", default=stack_config.LOCAL)
    arguments, extra = parser.parse_known_args()
    try:
        command = Command(Cloud.named(arguments.cloud), arguments.stack, [argument for argument in extra if argument])
        return COMMANDS[arguments.command](command) or 0
    except UserError as problem:
        say(f"\n{problem}")
        return 1
    except SERVICE_ERRORS as problem:
        say(f"\nA service of cloud {arguments.cloud} did not answer ({type(problem).__name__}: {problem}).")
        say("`make status` shows what runs and `make logs` what it said; `make up` starts what is down.")
        return 1
    except KeyboardInterrupt:
        say("\nstopped; the next run goes on from here")
        return 130
