"""Commands that build and explain images, and those of the builder."""

from devcloud.bootstrap import ROOT
from devcloud.cli import validate
from devcloud.cli.context import Command, only_argument
from devcloud.images import cache as caches
from devcloud.images import disk_space, dockerfile_graph
from devcloud.images import report as explain
from devcloud.images.registry import RegistryReader
from devcloud.pulumi import stack_config
from devcloud.util.console import UserError, row, seconds
from infra.builds import base_version
from infra.builds.plan import PARENT_ARGUMENT, plan_builds
from infra.product import product_of


def build(command: Command) -> None:
    """Build and push one image, and what it is built from."""
    images = product_of().images
    image = only_argument(command.extra, "IMAGE", "")
    if image not in images:
        raise UserError(f"IMAGE={image!r} is not an image of the product: use one of {', '.join(images)}.")
    command.start()
    stack = command.stack()
    stack.prepare()
    if images[image].versioned:
        # Of itself, a stack that pins a version of the base builds none.
        stack.config = stack_config.unpinned_file(command.cloud, stack.config)
    parent = images[image].base
    chain = [image] if parent is None or stack.pins(parent) else [parent, image]
    if any(images[name].extra == "torch" for name in chain):
        disk_space.check(command.cloud.cache, stack.settings, RegistryReader(command.cloud))
    # A component is a resource too: what is made for the first time needs its parent among the targets.
    targets = ["**pulumi:providers:**", "**slipway:index:Registry::**", "**aws:ecr/**"]
    targets += [target for name in chain for target in (f"**slipway:index:Image::{name}", f"**::{name}-image")]
    result = stack.up(*(argument for target in targets for argument in ("--target", target)))
    for name in chain:
        built = result.builds.get(name)
        row("image", f"{name}: {built.how}, {seconds(built.seconds)}" if built else f"{name}: nothing changed")


def base(command: Command) -> None:
    """Build and push the base under the version that its VERSION file gives it, and say so."""
    if problem := base_version.problem(ROOT):
        raise UserError(problem)
    version = base_version.read(ROOT)
    wanted = only_argument(command.extra, "VERSION", version)
    if wanted != version:
        raise UserError(
            f"VERSION={wanted} is not what {base_version.version_file(ROOT)} says, {version}: check out the commit "
            f"that made {wanted}, or start it by `{base_version.START.format(wanted)}`."
        )
    command.extra = [base_version.image_of(ROOT)]
    build(command)
    row("version", f"is {version} now: a stack pins it by slipway:images.baseVersion")


def report(command: Command) -> None:
    """Explain one image, or each: its layers, and what a change would rebuild."""
    command.running_services()
    stack = command.stack()
    found = stack.outputs()
    wanted = only_argument(command.extra, "IMAGE", "")
    if wanted and wanted not in found.images:
        raise UserError(f"IMAGE={wanted!r} is not an image of the product: use one of {', '.join(found.images)}.")
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
            print(explain.render(explain.fetch(registry, image, found), dockerfile_graph.read(path, arguments), plan))


def builder(command: Command) -> None:
    """Make the builder that the settings name where there is none."""
    validate.make_builder(stack_config.committed_file(command.stack_name))


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
