"""What keeps builds fast: BuildKit's own cache, and the registry's; shown and emptied."""

import boto3

from devcloud.cloud import REGION, Cloud
from devcloud.console import row, say, step
from devcloud.process import output
from devcloud.registry import RegistryReader
from devcloud.toolchain import Toolchain

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
    ecr = boto3.client(
        "ecr",
        endpoint_url=cloud.endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  the emulator takes any
    )
    for repository in _cache_repositories(registry):
        tags = registry.tags(repository)
        if tags:
            ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag} for tag in tags])
            row("registry", f"deleted {', '.join(tags)} from {repository}")


def _cache_repositories(registry: RegistryReader) -> list[str]:
    return [name for name in registry.repositories() if name.endswith("/cache")]
