"""Commands that show what is there."""

import json
import os
import shlex

from devcloud.cli.context import Command, only_argument
from devcloud.cloud.cloud import STRIPPED_ENV_PREFIXES
from devcloud.pulumi.stack import with_resources
from devcloud.toolchain import node
from devcloud.toolchain.assembly import ensure_for_tests
from devcloud.toolchain.standins import docker_hub_reachable
from devcloud.toolchain.standins import ensure as ensure_standins
from devcloud.util.console import UserError, row, say, seconds


def status(command: Command) -> int:
    """Show what runs."""
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
    for name, resources in with_resources(command.cloud).items():
        row("stack", f"{name}: {resources} resources")
    return 0 if healthy else 1


def logs(command: Command) -> None:
    """Show the end of the logs: of one service, or of each."""
    wanted = only_argument(command.extra, "SERVICE", "")
    files = sorted(command.cloud.logs.glob("*.log"))
    if wanted:
        files = [file for file in files if file.stem == wanted]
    if not files:
        known = ", ".join(file.stem for file in sorted(command.cloud.logs.glob("*.log"))) or "none yet"
        raise UserError(f"No log of {wanted or 'any service'} on cloud {command.cloud.name}; there are: {known}.")
    for file in files:
        print(f"==> {file}")
        print("\n".join(file.read_text(errors="replace").splitlines()[-(200 if wanted else 10) :]))


def outputs(command: Command) -> None:
    """Print the stack's outputs as JSON."""
    print(json.dumps(command.stack().raw_outputs(), indent=2, sort_keys=True))


def env(command: Command) -> None:
    """Print `export` lines that aim a shell at the cloud."""
    for name in sorted(os.environ):
        if name.startswith(STRIPPED_ENV_PREFIXES):
            print(f"unset {name}")
    for name, value in command.cloud.variables(command.toolchain.bin, command.toolchain.pulumi_home).items():
        print(f"export {name}={shlex.quote(value)}")


def toolchain(command: Command) -> None:
    """Find or make every tool, and what base images are made of, telling what is done. `--tests`: a browser too."""
    command.tells = True
    _ = command.toolchain
    if "--tests" in command.extra:
        ensure_for_tests(command.cloud.cache, say)
        node.ensure(command.cloud.cache, say)
    if not docker_hub_reachable():
        ensure_standins(command.cloud.cache, say)
