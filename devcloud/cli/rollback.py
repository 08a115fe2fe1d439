"""The commands that list the verified releases of a stack and go back to one."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from devcloud.bootstrap import ROOT
from devcloud.cli import summary
from devcloud.cli.context import PASS_ON, Command, cli, pulumi_arguments
from devcloud.cli.live import AWS
from devcloud.pulumi import stack_config
from devcloud.util.console import UserError, answer, say
from devcloud.util.processes import traced
from infra.releases import history
from infra.releases import rollback as back
from infra.settings import Settings, load_file

PATIENCE = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
"""botocore's own limits are minutes, and a registry that is away must not hold a rollback up for so long."""


@dataclass(frozen=True)
class Deployed:
    """A stack where it is deployed: on a cloud on this machine, or with `--cloud aws` in the account of the shell."""

    settings: Settings
    client: Callable[[str], Any]
    """Return boto3's client of a service."""

    def operator(self) -> str:
        """Return the ARN of the credentials. Raise UserError if they are of another account than the stack's."""
        caller = self.client("sts").get_caller_identity()
        wanted = self.settings.account_id
        if wanted and caller["Account"] != wanted:
            raise UserError(
                f"The credentials are of the account {caller['Account']}, but {self.settings.project}:accountId is "
                f"{wanted}: set AWS_PROFILE (or the credentials) to that account."
            )
        return str(caller["Arn"])


def _deployed(command: Command) -> Deployed:
    if command.cloud.name == AWS:
        # No secret is needed here, so none has to be set.
        stack = command.stack_name
        settings = load_file(stack_config.committed_file(stack), stack, unset=stack_config.unset_secrets(stack))

        def client(service: str) -> Any:
            return boto3.client(service, region_name=settings.region, config=PATIENCE)  # type: ignore[call-overload]

        return Deployed(settings, client)
    command.running_services()
    settings = command.stack().settings()
    return Deployed(settings, lambda service: command.cloud.aws.client(service, settings.region))


@cli.command()
def releases(command: Command) -> None:
    """List the releases that a stack verified, the newest first.

    Use the cloud on this machine, or with `--cloud aws` the account that the shell names.
    """
    deployed = _deployed(command)
    try:
        ssm = deployed.client("ssm")
        found = back.releases(deployed.settings, ssm)
        notes = back.notes(deployed.settings, ssm)
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"AWS did not tell the releases of stack {command.stack_name}: {error}") from None
    if not found:
        raise UserError(f"Nothing was verified in stack {command.stack_name} yet: bring it up first.")
    for line in history.lines(found, notes):
        answer(line)


@cli.command(context_settings=PASS_ON)
@click.option("--to", "wanted", metavar="RELEASE", default="", help="Id of the release, as `releases` lists it.")
@pulumi_arguments
def rollback(command: Command, wanted: str, arguments: tuple[str, ...]) -> int:
    """Go back to a verified release, by default the one before; nothing is built.

    Use the cloud on this machine, or with `--cloud aws` the account and state that the shell names.
    """
    deployed = _deployed(command)
    settings = deployed.settings
    try:
        operator, ssm = deployed.operator(), deployed.client("ssm")
        found = back.releases(settings, ssm)
        target = history.choose(found, wanted, settings.stack)
        say(back.difference(found[0], target))
        if note := back.check_images(settings, target, deployed.client("ecr")):
            say(note)
        if not settings.images.builds:
            say(back.rewrite_file(settings, target))
            return 0
        say(back.write_pin(settings, target, ssm, operator))
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"AWS did not take the rollback: {error}") from None
    return _up(command, arguments)


def _up(command: Command, arguments: tuple[str, ...]) -> int:
    """Deploy the release that the pin names."""
    if command.cloud.name == AWS:
        call = ["pulumi", "up", "--yes", "--skip-preview", "--stack", command.stack_name, *arguments]
        return subprocess.run(traced(call), cwd=ROOT, check=False).returncode
    stack = command.stack()
    stack.prepare()
    say(summary.changes(stack.up(*arguments)))
    return 0
