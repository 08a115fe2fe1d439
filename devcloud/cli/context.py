"""The group of the commands, and one call of a command."""

from concurrent.futures import ThreadPoolExecutor

import click

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import Services
from devcloud.pulumi import stack_config
from devcloud.pulumi.stack import Stack
from devcloud.toolchain import Toolchain, check_machine, database_standins, ensure, host_image, is_ready
from devcloud.toolchain.standins import docker_hub_reachable, take_docker_hubs_place
from devcloud.toolchain.standins import ensure as ensure_standins
from devcloud.util.console import MachineError, UserError, say


class Command:
    """One call of a command: its cloud, its stack, and what they need."""

    def __init__(self, cloud: Cloud, stack: str) -> None:
        self.cloud = cloud
        self.stack_name = stack
        self.verbose = False
        self._toolchain: Toolchain | None = None

    @property
    def toolchain(self) -> Toolchain:
        """Every tool, found or built."""
        if self._toolchain is None:
            self._check_machine()
            # The choice of each tool is printed when it is made, and by `up`; other commands are brief.
            verbose = self.verbose or not is_ready(self.cloud.cache)
            self._toolchain = ensure(self.cloud.cache, say if verbose else lambda _: None)
        return self._toolchain

    @property
    def services(self) -> Services:
        """The cloud's processes."""
        return Services(self.cloud, self.toolchain)

    def variables(self) -> dict[str, str]:
        """Return the variables that aim a program at the cloud."""
        return self.cloud.variables(self.toolchain.bin, self.toolchain.pulumi_home) | stack_config.stand_ins(self.cloud)

    def environment(self) -> dict[str, str]:
        """Return the environment that aims a program at the cloud."""
        return self.cloud.environment(self.variables())

    def stack(self, name: str | None = None) -> Stack:
        """Return a stack, by default the one that the call names, aimed at the cloud."""
        return Stack(self.cloud, name or self.stack_name, self.environment())

    def start(self) -> Services:
        """Start the cloud, with base images to build from."""
        stack_config.committed_file(self.stack_name)
        self.verbose = True
        builds = stack_config.builds(self.stack_name)
        say("toolchain")
        self._check_machine()
        with ThreadPoolExecutor(max_workers=1) as pool:
            # A first run compiles on all cores for minutes; these wait for the network and the disk meanwhile.
            images = pool.submit(self._have_images, builds=builds and not is_ready(self.cloud.cache))
            tools = self.toolchain
            images.result()
        say(f"cloud {self.cloud.name}")
        services = self.services
        services.start(builds=builds)
        if builds:
            registry = f"127.0.0.1:{self.cloud.ports.registry}"
            place = (self.cloud.cache, tools.buildctl, self.cloud.buildkit_address, registry, say)
            take_docker_hubs_place(*place)
            database_standins.take_their_place(*place)
        services.create_database(stack_config.database_name(self.stack_name))
        return services

    def _check_machine(self) -> None:
        """Raise MachineError if this machine is unfit."""
        # Commands that only show or delete something must work on a full disk too.
        problems = check_machine(self.cloud.cache, disk=self.verbose)
        if problems:
            raise MachineError("\n".join(problems))

    def _have_images(self, *, builds: bool) -> None:
        """Have what hosts boot, and what builds start from."""
        host_image.ensure(self.cloud.cache, say)
        if builds and not docker_hub_reachable():
            ensure_standins(self.cloud.cache, say)
            database_standins.ensure(self.cloud.cache, say)

    def running_services(self) -> Services:
        """Return the cloud's processes. Raise UserError if the cloud is not running."""
        if not self.cloud.emulator_run_id_file.exists() or not self.services.running():
            raise UserError(f"Cloud {self.cloud.name} is not running: `make up` starts it.")
        return self.services


def _set_cloud(context: click.Context, _option: click.Parameter, name: str | None) -> None:
    if name is not None:
        context.obj.cloud = Cloud.named(name)


def _set_stack(context: click.Context, _option: click.Parameter, name: str | None) -> None:
    if name is not None:
        context.obj.stack_name = name


class Commands(click.Group):
    """Commands that get their call as first argument, and take the group's options too, as `devcloud up --cloud x`."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command."""
        cmd.params += self.params
        cmd.callback = cmd.callback and click.pass_obj(cmd.callback)
        super().add_command(cmd, name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cloud", metavar="NAME", expose_value=False, callback=_set_cloud, help="The cloud (default: default).")
@click.option(
    "--stack",
    metavar="NAME",
    expose_value=False,
    callback=_set_stack,
    help=f"The stack (default: {stack_config.LOCAL}).",
)
def cli() -> None:
    """Run Slipway on a cloud on this machine."""


pulumi_arguments = click.argument("arguments", metavar="[PULUMI_ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
"""The arguments of a command that Pulumi takes, options included: the command needs PASS_ON too."""
PASS_ON = {"ignore_unknown_options": True}
