"""Show and empty the build caches: BuildKit's own, and the registry's."""

from devcloud.cloud.cloud import Cloud
from devcloud.images.registry import RegistryReader
from devcloud.toolchain import Toolchain
from devcloud.util.console import row, say, step
from devcloud.util.processes import output

MB = 1_000_000


def show(cloud: Cloud, tools: Toolchain) -> None:
    """Print what both hold."""
    usage = output([str(tools.buildctl), "--addr", cloud.buildkit_address, "du"])
    say("builder")
    for line in usage.splitlines():
        name, _, value = line.partition(":")
        if name in ("Reclaimable", "Total", "Shared", "Private"):
            row(name.lower(), value.strip())
    say("registry cache")
    registry = RegistryReader(cloud)
    for repository in _cache_repositories(registry):
        for tag in registry.tags(repository):
            row(tag, f"{repository}: {registry.size(repository, tag).compressed / MB:.0f} MB compressed")


def empty(cloud: Cloud, tools: Toolchain) -> None:
    """Empty both: the next build starts from nothing."""
    with step("builder", "emptying BuildKit's cache"):
        output([str(tools.buildctl), "--addr", cloud.buildkit_address, "prune", "--all"], timeout=600)
    registry = RegistryReader(cloud)
    ecr = cloud.aws.client("ecr")
    # The registry also remembers repositories of stacks that are gone.
    known = {repository["repositoryName"] for repository in ecr.describe_repositories()["repositories"]}
    for repository in known.intersection(_cache_repositories(registry)):
        tags = registry.tags(repository)
        if tags:
            ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag} for tag in tags])
            row("registry", f"deleted {', '.join(tags)} from {repository}")


def _cache_repositories(registry: RegistryReader) -> list[str]:
    return [name for name in registry.repositories() if name.endswith("/cache")]
