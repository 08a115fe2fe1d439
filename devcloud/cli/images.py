"""Commands that build and explain images, and those of the builder."""

import contextlib
import os

import click

from devcloud.bootstrap import ROOT
from devcloud.cli.context import Command, cli
from devcloud.cloud.services import BUILDER
from devcloud.images import cache as caches
from devcloud.images import disk_space, dockerfile_graph
from devcloud.images import report as explain
from devcloud.images.registry import RegistryReader
from devcloud.pulumi import stack_config
from devcloud.util.console import MachineError, UserError, WrongCallError, answer, row, say, seconds
from devcloud.util.processes import output
from infra.builds import base_version, buildx
from infra.builds.plan import PARENT_ARGUMENT, plan_builds
from infra.product import product_of
from infra.settings.images import Images


@cli.command()
@click.argument("image", default="")
def build(command: Command, image: str) -> None:
    """Build and push one image of product.yaml, and its base."""
    _build(command, image)


def _build(command: Command, image: str) -> None:
    images = product_of().images
    if image not in images:
        raise WrongCallError(f"IMAGE={image!r} is not an image of the product: use one of {', '.join(images)}.")
    command.start()
    stack = command.stack()
    stack.prepare()
    if images[image].versioned:
        # Of itself, a stack that pins a version of the base builds none.
        stack.config = stack_config.unpinned_file(command.cloud, stack.config)
    parent = images[image].base
    chain = [image] if parent is None or parent in base_version.unresolved(stack.settings()) else [parent, image]
    if any(images[name].extra == "torch" for name in chain):
        disk_space.check(command.cloud.cache, stack.settings, RegistryReader(command.cloud))
    # A component is a resource too: what is made for the first time needs its parent among the targets.
    targets = ["**pulumi:providers:**", "**slipway:index:Registry::**", "**aws:ecr/**"]
    targets += [target for name in chain for target in (f"**slipway:index:Image::{name}", f"**::{name}-image")]
    result = stack.up(*(argument for target in targets for argument in ("--target", target)))
    for name in chain:
        built = result.builds.get(name)
        row("image", f"{name}: {built.how}, {seconds(built.seconds)}" if built else f"{name}: nothing changed")


@cli.command()
@click.argument("wanted", metavar="[VERSION]", default="")
def base(command: Command, wanted: str) -> None:
    """Build and push the base as the version in its VERSION file."""
    if problem := base_version.problem(ROOT):
        raise UserError(problem)
    version = base_version.read(ROOT)
    if wanted not in ("", version):
        raise WrongCallError(
            f"VERSION={wanted} is not what {base_version.version_file(ROOT)} says here, {version}: check out the "
            f"commit that made {wanted}, or start it by `{base_version.START.format(wanted)}`."
        )
    _build(command, base_version.image_of(ROOT))
    row("version", f"is {version} now: a stack pins it by {stack_config.key('images')}.baseVersion")


@cli.command()
@click.argument("wanted", metavar="[IMAGE]", default="")
def report(command: Command, wanted: str) -> None:
    """Explain images: their layers, and what a change rebuilds."""
    command.running_services()
    stack = command.stack()
    found = stack.outputs()
    if wanted and wanted not in found.images:
        raise WrongCallError(f"IMAGE={wanted!r} is not an image of the product: use one of {', '.join(found.images)}.")
    settings = stack.settings()
    taken = {image: found.digests[image] for image in base_version.unresolved(settings)}
    plans = plan_builds(settings, ROOT, taken) if settings.images.builds else {}
    registry = RegistryReader(command.cloud)
    for image in found.images:
        if not wanted or image == wanted:
            plan = plans.get(image)
            path = ROOT / "images" / image / "Dockerfile"
            arguments = dict(plan.build_args) if plan else {}
            if plan and plan.parent:
                arguments[PARENT_ARGUMENT] = found.images[plan.parent]
            answer(explain.render(explain.fetch(registry, image, found), dockerfile_graph.read(path, arguments), plan))


@cli.command()
def builder(command: Command) -> None:
    """Create the builder that the stack's settings name."""
    images = stack_config.images(command.stack_name)
    if not stack_config.builds(command.stack_name):
        say(f"stack {command.stack_name} takes its images from {images['source']} and builds nothing")
        return
    name = images.get("builder", Images().builder)
    if name == BUILDER:
        say(f"builder {name} is the BuildKit of the cloud on this machine: `make up` starts it")
        return
    with contextlib.suppress(buildx.BuilderError):
        buildx.check(stack_config.project(), name, os.environ)
        say(f"builder {name} is there")
        return
    try:
        output(["docker", "buildx", "version"])
    except UserError:
        raise MachineError(
            f"The builder {name} needs Docker with its buildx plugin, and this machine has none: install Docker, "
            "or use the cloud on this machine, which brings a builder of its own (`make up`)."
        ) from None
    output(["docker", "buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"], timeout=300)
    say(f"builder {name} is made")


@cli.command()
def cache(command: Command) -> None:
    """Show what the builder and the registry cache hold."""
    command.running_services()
    caches.show(command.cloud, command.toolchain)


@cli.command()
def clean_cache(command: Command) -> None:
    """Empty the builder and the registry cache."""
    command.running_services()
    caches.empty(command.cloud, command.toolchain)


@cli.command()
def stop_builder(command: Command) -> None:
    """Stop BuildKit, and leave the rest of the cloud running."""
    command.running_services().stop_builder()
