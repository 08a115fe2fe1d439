"""Commands that show what is there."""

import json
import os
import shlex

import click

from devcloud.cli.context import Command, cli
from devcloud.cloud.cloud import STRIPPED_ENV_PREFIXES
from devcloud.pulumi.stack import with_resources
from devcloud.toolchain import database_standins, host_image, node
from devcloud.toolchain.assembly import ensure_for_tests
from devcloud.toolchain.standins import docker_hub_reachable
from devcloud.toolchain.standins import ensure as ensure_standins
from devcloud.util.console import UserError, answer, row, say, seconds


@cli.command("cloud-status")
def cloud_status(command: Command) -> int:
    """Show the processes of the cloud on this machine, and its stacks."""
    if not command.cloud.emulator_run_id_file.exists():
        say(f"cloud {command.cloud.name} is not running: `make up` starts it")
        return 1
    services = command.services
    say(f"cloud {command.cloud.name}")
    healthy = True
    for service in services.health():
        healthy &= service.state == "running"
        row(service.name, f"{service.state}, process {service.pid}, up {seconds(service.up_seconds)}")
    row("docker", command.cloud.docker_host())
    row("endpoint", command.cloud.endpoint)
    row("registry", command.cloud.registry_address)
    for instance, state in services.engine.hosts().items():
        row("host", f"{instance}: {state}; `make cloud-logs NAME={instance}` shows its console")
    for name, resources in with_resources(command.cloud).items():
        row("stack", f"{name}: {resources} resources")
    return 0 if healthy else 1


@cli.command("cloud-logs")
@click.argument("process", default="")
def cloud_logs(command: Command, process: str) -> None:
    """Show the end of every log of the cloud on this machine, or more of one."""
    files = {file.stem: file for file in sorted(command.cloud.logs.glob("*.log"))}
    if not files or process not in ("", *files):
        known = ", ".join(files) or "none yet"
        raise UserError(f"Cloud {command.cloud.name} has no log of {process or 'any process'}; there are: {known}.")
    for file in [files[process]] if process else files.values():
        answer(f"==> {file}")
        lines = file.read_bytes().decode(errors="replace").rstrip().split("\n")
        answer("\n".join(lines[-(200 if process else 10) :]))


@cli.command()
def outputs(command: Command) -> None:
    """Print the stack's outputs as JSON."""
    print(json.dumps(command.stack().raw_outputs(), indent=2, sort_keys=True))


@cli.command()
def env(command: Command) -> None:
    """Print the shell commands that aim a shell at the cloud."""
    for name in sorted(os.environ):
        if name.startswith(STRIPPED_ENV_PREFIXES):
            print(f"unset {name}")
    for name, value in command.variables().items():
        print(f"export {name}={shlex.quote(value)}")


@cli.command()
@click.option("--tests", is_flag=True, help="Prepare what the tests need too: a browser and Node.")
def toolchain(command: Command, tests: bool) -> None:
    """Find or make every tool, and what base images are made of."""
    command.verbose = True
    _ = command.toolchain
    if tests:
        ensure_for_tests(command.cloud.cache, say)
        node.ensure(command.cloud.cache, say)
    if not docker_hub_reachable():
        ensure_standins(command.cloud.cache, say)
        database_standins.ensure(command.cloud.cache, say)
    host_image.ensure(command.cloud.cache, say)
