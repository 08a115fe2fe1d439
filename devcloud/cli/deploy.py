"""Commands that change a stack or end its cloud."""

import shutil

import click
from botocore.exceptions import BotoCoreError, ClientError

from devcloud.bootstrap import ROOT
from devcloud.cli import summary
from devcloud.cli.context import PASS_ON, Command, cli, pulumi_arguments
from devcloud.cli.live import live
from devcloud.cloud.inventory import inventory
from devcloud.cloud.services import Services
from devcloud.images import disk_space
from devcloud.images.registry import RegistryReader
from devcloud.plugins.bridges import stop_bridges
from devcloud.pulumi import stack_config
from devcloud.pulumi.stack import with_resources
from devcloud.util.console import UserError, WrongCallError, row, say, seconds
from devcloud.verify.smoke_test import SmokeTest
from infra.builds import staging
from infra.builds.plan import STAGING
from infra.releases import pin
from infra.releases import promote as promotion
from infra.settings.models import parameter_path

RETAINED_KIND = "task definitions"
"""Resources that `make down` leaves in the emulator: AWS never deletes revisions that ran."""


@cli.command(context_settings=PASS_ON)
@pulumi_arguments
def up(command: Command, arguments: tuple[str, ...]) -> None:
    """Build, push, deploy and smoke-test the stack."""
    services = command.start()
    stack = command.stack()
    stack.prepare()
    disk_space.check(command.cloud.cache, stack.settings, RegistryReader(command.cloud))
    result = stack.up(*arguments)
    outputs = stack.outputs()
    say()
    summary.show(outputs, result, RegistryReader(command.cloud))
    say()
    SmokeTest(services.engine, command.stack_name, outputs).run()


@cli.command(context_settings=PASS_ON)
@pulumi_arguments
def preview(command: Command, arguments: tuple[str, ...]) -> int:
    """Show what `up` would change."""
    command.start()
    stack = command.stack()
    stack.prepare()
    return stack.show("preview", *arguments)


@cli.command(context_settings=PASS_ON)
@pulumi_arguments
def refresh(command: Command, arguments: tuple[str, ...]) -> int:
    """Update the stack's state from the resources that exist."""
    command.running_services()
    stack = command.stack()
    stack.prepare()
    return stack.show("refresh", "--yes", "--skip-preview", *arguments)


@cli.command()
def down(command: Command) -> None:
    """Delete the stack, and stop the cloud if it has no other."""
    if not command.cloud.emulator_run_id_file.exists():
        say(f"cloud {command.cloud.name} is not running")
        return
    services = command.services
    if not services.running():
        say(f"cloud {command.cloud.name} has died, and what was in its emulator with it: clearing the rest away")
        _stop(command, services)
        return
    stack = command.stack()
    stack.end_dead_run()
    if stack.name in with_resources(command.cloud):
        stack.prepare()
        result = stack.destroy()
        # A rollback's pin is an operator's act, so no resource of the stack.
        pin.delete(command.cloud.aws.client("ssm"), pin.parameter(parameter_path(stack_config.project(), stack.name)))
        row("deleted", f"{result.changes.get('delete', 0)} resources in {seconds(result.seconds)}")
    services.drop_database(stack_config.database_name(command.stack_name))
    others = list(with_resources(command.cloud))
    if others:
        say(f"cloud {command.cloud.name} goes on for {', '.join(others)}: `make down STACK={others[0]}` deletes it too")
        return
    left = inventory(command.cloud.aws)
    kept = left.pop(RETAINED_KIND, [])
    row("emulator", f"empty but for {len(kept)} task definition(s) kept on purpose" if not left else f"LEFT: {left}")
    _stop(command, services)
    if left:
        raise UserError(f"`make down` left things in the emulator that no stack knows: {left}. Please report it.")


def _stop(command: Command, services: Services) -> None:
    stop_bridges(command.cloud.folder / "bridge")
    services.stop()
    say(f"cloud {command.cloud.name} has ended: no process, container or mount of it is left")


@cli.command()
def clean(command: Command) -> None:
    """Stop the cloud and delete all its data and build caches."""
    if command.cloud.folder.exists():
        _stop(command, command.services)
        shutil.rmtree(command.cloud.folder)
    command.services.engine.clean()
    staging.clear(ROOT / STAGING)
    say(f"cloud {command.cloud.name}: all that it kept is deleted (the toolchain stays in {command.cloud.cache})")


@cli.command()
@click.option("--from", "source", metavar="STACK", required=True, help="The stack that runs the digests.")
@click.option("--to", "target", metavar="STACK", required=True, help="The stack that is to run them.")
def promote(command: Command, source: str, target: str) -> None:
    """Promote the image digests of one stack to another.

    Use the cloud on this machine, or with `--cloud aws` the account and state that the shell names.
    """
    if source == target:
        raise WrongCallError(f"FROM and TO are both {source!r}: name two stacks, such as FROM=dev TO=prod.")
    if problem := promotion.unfit(target):
        raise WrongCallError(problem)
    try:
        found = live(command, source)
        say(promotion.promote(source, target, found.outputs, found.client("ssm"), found.client("ecr")))
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"AWS did not take the promotion: {error}") from None
