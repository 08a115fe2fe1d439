"""A container image: built from a staged context, pushed under its content tag, known by its digest.

Every rule of the design about images is here; each with the issue that taught it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker_build as docker_build


@dataclass(frozen=True)
class ImageArgs:
    """One image to build."""

    image: str
    """Its name among the product's images."""
    context: str
    """The staged folder: relative, because the provider's context hash holds the path (pulumi-docker-build#979)."""
    dockerfile: str
    repository: pulumi.Input[str]
    """The repository that it is pushed to, without a tag."""
    content_tag: str
    """The hash of all its inputs: the digest is unknown in a preview exactly if this changes."""
    cache: pulumi.Input[str]
    """The repository of build caches."""
    platform: str
    compression: str
    """`zstd`, or `gzip` for engines before Docker 23."""
    compression_level: int
    builder: str
    login: Sequence[docker_build.RegistryArgs]
    build_args: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """BuildKit secrets by id: the build may read them, and no layer contains them."""


class Image(pulumi.ComponentResource):
    """An image in its repository."""

    digest: pulumi.Output[str]
    reference: pulumi.Output[str]
    """`repository@digest`: the only name by which an image is ever deployed."""
    content_tag: str

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Image", name, None, opts)
        repository = pulumi.Output.from_input(args.repository)
        address = pulumi.Output.concat(repository, ":", args.content_tag)
        cache = pulumi.Output.concat(args.cache, ":", args.image)
        built = docker_build.Image(
            f"{name}-image",
            context=docker_build.BuildContextArgs(location=args.context),
            dockerfile=docker_build.DockerfileArgs(location=f"{args.context}/{args.dockerfile}"),
            platforms=[docker_build.Platform(args.platform)],
            build_args=dict(args.build_args),
            secrets=dict(args.secrets) or None,
            # A rotated token is no reason to build anew.
            ignore_secrets_in_diff_calculation=sorted(args.secrets) or None,
            builder=docker_build.BuilderConfigArgs(name=args.builder),
            # `push` would do, but the provider drops forced compression unless the export is raw, and the same
            # content must have the same bytes whatever the builder holds already.
            push=False,
            exports=[docker_build.ExportArgs(raw=address.apply(lambda ref: _export(ref, args)))],
            cache_from=[docker_build.CacheFromArgs(registry=docker_build.CacheFromRegistryArgs(ref=cache))],
            cache_to=[
                docker_build.CacheToArgs(
                    registry=docker_build.CacheToRegistryArgs(
                        ref=cache,
                        mode=docker_build.CacheMode.MAX,
                        # ECR refuses a cache that is an index of unknown media types.
                        image_manifest=True,
                        oci_media_types=True,
                        # With another compression than the image's, its layers would be pushed twice.
                        compression=docker_build.CompressionType(args.compression),
                        # Dropped by the provider unless there is a level.
                        compression_level=args.compression_level,
                    )
                )
            ],
            registries=list(args.login) or None,
            # A preview plans; it neither builds nor pushes nor writes a cache.
            build_on_preview=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Replacing an image would delete its digest from the registry, in use or not.
                retain_on_delete=True,
                hooks=_hooks(name, args),
            ),
        )
        self.digest = built.digest
        self.reference = pulumi.Output.concat(repository, "@", built.digest)
        self.content_tag = args.content_tag
        self.register_outputs({"digest": self.digest, "contentTag": self.content_tag})


def _export(reference: str, args: ImageArgs) -> str:
    """Return the exporter's settings: push under the content tag, with the same bytes for the same content."""
    return (
        f"type=image,name={reference},push=true,oci-mediatypes=true,"
        f"compression={args.compression},compression-level={args.compression_level},force-compression=true"
    )


def _hooks(name: str, args: ImageArgs) -> pulumi.ResourceHookBinding:
    def explain(failure: pulumi.ErrorHookArgs) -> bool:
        if sentence := moved_tag(args, failure.errors):
            pulumi.log.error(sentence)
        return False  # trying again would build the same

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"{name}-moved-tag", explain)])


def moved_tag(args: ImageArgs, errors: Sequence[str]) -> str | None:
    """Return the meaning of a refused push in a sentence: an earlier build of the same content had other bytes."""
    if not any("immutable" in error or "TAG_INVALID" in error for error in errors):
        return None
    return (
        f"image {args.image}: the tag {args.content_tag} names another digest already, and tags do not move: "
        "something that is not pinned went into the build (a parent without @digest, an unlocked download). "
        f"Pin it, or delete the tag from the {args.image} repository to let this build take its place."
    )
