"""The product's image repositories, and one for build caches."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from infra.lib import lifecycle
from infra.settings import models as settings

CACHE = "cache"
"""The repository of build caches: mutable, because a cache's tag moves with every build."""


@dataclass(frozen=True)
class RegistryArgs:
    """The repositories' images and settings."""

    spec: settings.Registry
    images: tuple[str, ...]
    """The images: each has a repository with immutable tags."""
    owned: bool
    """Whether this stack creates the repositories; otherwise it looks up those of their owner."""


class Registry(pulumi.ComponentResource):
    """ECR repositories: made and protected by the stack that owns them, looked up by every other."""

    addresses: Mapping[str, pulumi.Output[str]]
    """Each repository's address, without a tag, by image; the caches' under `cache`."""
    arns: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Registry", name, None, opts)
        self._spec = args.spec
        addresses: dict[str, pulumi.Output[str]] = {}
        arns: dict[str, pulumi.Output[str]] = {}
        for image in (*args.images, CACHE):
            url, arns[image] = self._create(image) if args.owned else self._find(image)
            fixed = f"{args.spec.address}/{args.spec.namespace}/{image}"
            addresses[image] = pulumi.Output.from_input(fixed) if args.spec.address else url
        self.addresses = addresses
        self.arns = arns
        self.register_outputs({"addresses": addresses})

    def login(self) -> list[docker_build.RegistryArgs]:
        """Return a build's login: ECR's token, which is a secret in outputs and in the state."""
        if self._spec.address:
            return []
        token = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOptions(parent=self))
        return [
            docker_build.RegistryArgs(
                address=token.proxy_endpoint,
                username=token.user_name,
                password=pulumi.Output.secret(token.password),
            )
        ]

    def _create(self, image: str) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        spec = self._spec
        mutable = image == CACHE
        repository = aws.ecr.Repository(
            f"{image}-repository",
            name=f"{spec.namespace}/{image}",
            image_tag_mutability="MUTABLE" if mutable else "IMMUTABLE",
            image_scanning_configuration={"scan_on_push": not mutable},
            force_delete=spec.force_delete,
            opts=pulumi.ResourceOptions(parent=self, protect=spec.protect),
        )
        policy = (
            lifecycle.cache_policy(spec.keep_caches)
            if mutable
            else lifecycle.image_policy(
                keep_images=spec.keep_images, keep_promoted=spec.keep_promoted, promoted_to=spec.promoted_to
            )
        )
        aws.ecr.LifecyclePolicy(
            f"{image}-lifecycle",
            repository=repository.name,
            policy=policy,
            # A child is protected with its parent, and another policy replaces this one, which that would refuse. The
            # old one goes first: a repository has one policy, and deleting the old one afterwards would delete the new.
            opts=pulumi.ResourceOptions(parent=repository, protect=False, delete_before_replace=True),
        )
        return repository.repository_url, repository.arn

    def _find(self, image: str) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        found = aws.ecr.get_repository_output(
            name=f"{self._spec.namespace}/{image}", opts=pulumi.InvokeOptions(parent=self)
        )
        return found.repository_url, found.arn
