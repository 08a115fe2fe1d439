"""The commands of the Makefile, on the cloud of this machine."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from devcloud import caches, rebuilds, rehearsal, room, summary, validate
from devcloud import report as explain
from devcloud.bootstrap import ROOT
from devcloud.cloud import NOT_PASSED_ON, Cloud
from devcloud.console import Refusal, row, say, seconds
from devcloud.emulator.inventory import inventory
from devcloud.proof import Proof
from devcloud.registry import RegistryReader
from devcloud.services import Services
from devcloud.stack import Stack, with_resources
from devcloud.toolchain import Toolchain, check_machine, ensure, is_ready, node
from devcloud.toolchain.assembly import ensure_for_tests
from devcloud.toolchain.bridges import stop_bridges
from devcloud.toolchain.standins import docker_hub_reachable, take_docker_hubs_place
from devcloud.toolchain.standins import ensure as ensure_standins
from infra.builds import base_version, staging
from infra.builds.plan import PARENT_ARGUMENT, RECIPES, STAGING, plan_builds

AWS = "aws"
"""Not a cloud on this machine: the account, credentials and state that the person's shell names."""
KEPT_ON_PURPOSE = "task definitions"
"""What `make down` leaves in the emulator: revisions that ran are never taken away."""


class Command:
    """One call of a command: its cloud, its stack, and what they need."""

    def __init__(self, cloud: Cloud, stack: str, extra: list[str]) -> None:
        self.cloud = cloud
        self.stack_name = stack
        self.extra = extra
        self.tells = False
        self._toolchain: Toolchain | None = None

    @property
    def toolchain(self) -> Toolchain:
        """Every tool, found or made."""
        if self._toolchain is None:
            # What only looks, or frees, must work on a full disk too.
            problems = check_machine(self.cloud.cache, disk=self.tells)
            if problems:
                raise Refusal("\n".join(problems))
            # Each choice is told where it is made, and by `up`; a command that only looks is brief.
            told = self.tells or not is_ready(self.cloud.cache)
            self._toolchain = ensure(self.cloud.cache, say if told else lambda _: None)
        return self._toolchain

    @property
    def services(self) -> Services:
        """The cloud's processes."""
        return Services(self.cloud, self.toolchain)

    def environment(self) -> dict[str, str]:
        """What aims a program at the cloud."""
        variables = self.cloud.variables(self.toolchain.bin, self.toolchain.pulumi_home)
        return self.cloud.environment(variables)

    def stack(self, name: str | None = None) -> Stack:
        """A stack on the cloud, by default the one that was asked for."""
        return Stack(self.cloud, name or self.stack_name, self.environment())

    def start(self) -> Services:
        """Have the cloud running, with base images to build from."""
        rehearsal.committed_file(self.stack_name)
        self.tells = True
        say("toolchain")
        tools = self.toolchain
        say(f"cloud {self.cloud.name}")
        services = self.services
        builds = rehearsal.builds(self.stack_name)
        services.start(builds=builds)
        if builds:
            registry = f"127.0.0.1:{self.cloud.ports.registry}"
            take_docker_hubs_place(self.cloud.cache, tools.buildctl, self.cloud.buildkit_address, registry, say)
        services.create_database(rehearsal.database_name(self.stack_name))
        return services

    def running_services(self) -> Services:
        """The cloud's processes, which must be running."""
        if not self.cloud.incarnation_file.exists() or not self.services.running():
            raise Refusal(f"Cloud {self.cloud.name} is not running: `make up` starts it.")
        return self.services


def up(command: Command) -> None:
    """Bring the stack up and prove that it works."""
    services = command.start()
    stack = command.stack()
    stack.prepare()
    room.ask_for_it(stack, RegistryReader(command.cloud))
    result = stack.up(*command.extra)
    outputs = stack.outputs()
    say()
    summary.show(outputs, result, RegistryReader(command.cloud))
    say()
    Proof(services.engine, command.stack_name, outputs).give()


def preview(command: Command) -> int:
    """Show what an `up` would change."""
    command.start()
    stack = command.stack()
    stack.prepare()
    return stack.show("preview", *command.extra)


def refresh(command: Command) -> int:
    """Compare the state with what is there."""
    command.running_services()
    stack = command.stack()
    stack.prepare()
    return stack.show("refresh", "--yes", "--skip-preview", *command.extra)


def build(command: Command) -> None:
    """Build and push one image, and what it is built from."""
    image = _only(command.extra, "IMAGE", "api")
    if image not in RECIPES:
        raise Refusal(f"IMAGE={image!r} is not an image of the product: use one of {', '.join(RECIPES)}.")
    command.start()
    stack = command.stack()
    stack.prepare()
    if image == base_version.IMAGE:
        # Of itself, a stack that pins a version of the base builds none.
        stack.config = rehearsal.unpinned_file(command.cloud, stack.config)
    parent = RECIPES[image].parent
    chain = [image] if parent is None or stack.pins(parent) else [parent, image]
    if base_version.IMAGE in chain:
        room.ask_for_it(stack, RegistryReader(command.cloud))
    # A component is a resource too: what is made for the first time needs its parent among the targets.
    targets = ["**pulumi:providers:**", "**slipway:index:Registry::**", "**aws:ecr/**"]
    targets += [target for name in chain for target in (f"**slipway:index:Image::{name}", f"**::{name}-image")]
    result = stack.up(*(argument for target in targets for argument in ("--target", target)))
    for name in chain:
        built = result.builds.get(name)
        row("image", f"{name}: {built.how}, {seconds(built.seconds)}" if built else f"{name}: nothing changed")


def base(command: Command) -> None:
    """Build and push the base under the version that images/base/VERSION gives it, and say so."""
    if problem := base_version.problem(ROOT):
        raise Refusal(problem)
    version = base_version.read(ROOT)
    wanted = _only(command.extra, "VERSION", version)
    if wanted != version:
        raise Refusal(
            f"VERSION={wanted} is not what {base_version.VERSION} says here, {version}: check out the commit that made "
            f"{wanted}, or start it by `{base_version.START.format(wanted)}`."
        )
    command.extra = [base_version.IMAGE]
    build(command)
    row("base", f"is {version} now: a stack pins it by slipway:images.baseVersion")


def report(command: Command) -> None:
    """Explain one image, or each: its layers, and what a change would rebuild."""
    command.running_services()
    stack = command.stack()
    found = stack.outputs()
    wanted = _only(command.extra, "IMAGE", "")
    if wanted and wanted not in found["images"]:
        raise Refusal(f"IMAGE={wanted!r} is not an image of the product: use one of {', '.join(found['images'])}.")
    settings = stack.settings()
    taken = {base_version.IMAGE: found["digests"][base_version.IMAGE]} if settings.images.base_version else {}
    plans = plan_builds(settings, ROOT, taken) if settings.images.builds else {}
    registry = RegistryReader(command.cloud)
    for image in found["images"]:
        if not wanted or image == wanted:
            plan = plans.get(image)
            path = ROOT / "images" / image / "Dockerfile"
            arguments = dict(plan.build_args) if plan else {}
            if plan and plan.parent:
                arguments[PARENT_ARGUMENT] = found["images"][plan.parent]
            print(explain.render(explain.fetch(registry, image, found), rebuilds.read(path, arguments), plan))


def down(command: Command) -> None:
    """Delete the stack; end the cloud where no other stack is on it."""
    if not command.cloud.incarnation_file.exists():
        say(f"cloud {command.cloud.name} is not running")
        return
    services = command.services
    if not services.running():
        say(f"cloud {command.cloud.name} has died, and what was in its emulator with it: clearing the rest away")
        _stop(command, services)
        return
    stack = command.stack()
    stack.end_dead_run()
    if stack.resources():
        stack.prepare()
        result = stack.destroy()
        row("deleted", f"{result.changes.get('delete', 0)} resources in {seconds(result.seconds)}")
    services.drop_database(rehearsal.database_name(command.stack_name))
    others = list(with_resources(command.cloud))
    if others:
        say(f"cloud {command.cloud.name} goes on for {', '.join(others)}: `make down STACK={others[0]}` deletes it too")
        return
    left = inventory(command.cloud.endpoint)
    kept = left.pop(KEPT_ON_PURPOSE, [])
    row(
        "emulator",
        f"empty but for {len(kept)} task definition(s) kept on purpose" if not left else f"LEFT: {left}",
    )
    _stop(command, services)
    if left:
        raise Refusal(f"`make down` left things in the emulator that no stack knows: {left}. Please report it.")


def _stop(command: Command, services: Services) -> None:
    stop_bridges(command.cloud.folder / "bridge")
    services.stop()
    say(f"cloud {command.cloud.name} has ended: no process, container or mount of it is left")


def clean(command: Command) -> None:
    """End the cloud and delete all that it kept, caches of builds included; the toolchain stays."""
    if command.cloud.folder.exists():
        _stop(command, command.services)
        shutil.rmtree(command.cloud.folder)
    command.services.engine.clean()
    staging.clear(ROOT / STAGING)
    say(f"cloud {command.cloud.name}: all that it kept is deleted (the toolchain stays in {command.cloud.cache})")


def status(command: Command) -> int:
    """Show what runs."""
    if not command.cloud.incarnation_file.exists():
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
    wanted = _only(command.extra, "SERVICE", "")
    files = sorted(command.cloud.logs.glob("*.log"))
    if wanted:
        files = [file for file in files if file.stem == wanted]
    if not files:
        known = ", ".join(file.stem for file in sorted(command.cloud.logs.glob("*.log"))) or "none yet"
        raise Refusal(f"No log of {wanted or 'any service'} on cloud {command.cloud.name}; there are: {known}.")
    for file in files:
        print(f"==> {file}")
        print("\n".join(file.read_text(errors="replace").splitlines()[-(200 if wanted else 10) :]))


def outputs(command: Command) -> None:
    """Print the stack's outputs as JSON."""
    print(json.dumps(command.stack().outputs(), indent=2, sort_keys=True))


def env(command: Command) -> None:
    """Print `export` lines that aim a shell at the cloud."""
    for name in sorted(os.environ):
        if name.startswith(NOT_PASSED_ON):
            print(f"unset {name}")
    for name, value in command.cloud.variables(command.toolchain.bin, command.toolchain.pulumi_home).items():
        print(f"export {name}={shlex.quote(value)}")


def promote(command: Command) -> int:
    """Promote the digests of one stack to another: on this machine's cloud, or with CLOUD=aws where the shell aims."""
    environment = dict(os.environ) if command.cloud.name == AWS else command.environment()
    return subprocess.run(
        [sys.executable, "-m", "infra.releases.promote", *command.extra], env=environment, check=False
    ).returncode


def builder(command: Command) -> None:
    """Make the builder that the settings name where there is none."""
    validate.make_builder(rehearsal.committed_file(command.stack_name))


def check_all(command: Command) -> int:
    """Check settings, locks, Dockerfiles and contexts without building anything."""
    return validate.run(command.cloud)


def cache(command: Command) -> None:
    """Show what the builder and the registry cache hold."""
    command.running_services()
    caches.show(command.cloud, command.toolchain)


def clean_cache(command: Command) -> None:
    """Empty the builder and the registry cache."""
    command.running_services()
    caches.empty(command.cloud, command.toolchain)


def stop_builder(command: Command) -> None:
    """Stop BuildKit alone: what builds nothing must run without it."""
    command.running_services().stop_builder()


def toolchain(command: Command) -> None:
    """Find or make every tool, and what base images are made of, telling what is done. `--tests`: a browser too."""
    command.tells = True
    _ = command.toolchain
    if "--tests" in command.extra:
        ensure_for_tests(command.cloud.cache, say)
        node.ensure(command.cloud.cache, say)
    if not docker_hub_reachable():
        ensure_standins(command.cloud.cache, say)


UNANSWERED = (httpx.HTTPError, BotoCoreError, ClientError, xmlrpc.client.Error, ConnectionError)
"""What a service of the cloud that dies under a command looks like from here."""

COMMANDS: dict[str, Callable[[Command], int | None]] = {
    "up": up,
    "preview": preview,
    "refresh": refresh,
    "build": build,
    "base": base,
    "report": report,
    "down": down,
    "clean": clean,
    "status": status,
    "logs": logs,
    "outputs": outputs,
    "env": env,
    "promote": promote,
    "builder": builder,
    "validate": check_all,
    "cache": cache,
    "clean-cache": clean_cache,
    "stop-builder": stop_builder,
    "toolchain": toolchain,
}


def _only(extra: list[str], what: str, default: str) -> str:
    if len(extra) > 1:
        raise Refusal(f"{what} takes one name, not {len(extra)}: {' '.join(extra)}.")
    return extra[0] if extra and extra[0] else default


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="devcloud", description="Slipway on a cloud on this machine.", allow_abbrev=False
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--cloud", default="default")
    parser.add_argument("--stack", default=rehearsal.LOCAL)
    arguments, extra = parser.parse_known_args()
    try:
        command = Command(Cloud.named(arguments.cloud), arguments.stack, [argument for argument in extra if argument])
        return COMMANDS[arguments.command](command) or 0
    except Refusal as problem:
        say(f"\n{problem}")
        return 1
    except UNANSWERED as problem:
        say(f"\nA service of cloud {arguments.cloud} did not answer ({type(problem).__name__}: {problem}).")
        say("`make status` shows what runs and `make logs` what it said; `make up` starts what is down.")
        return 1
    except KeyboardInterrupt:
        say("\nstopped; the next run goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main())
