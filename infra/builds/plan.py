"""Plan the builds: the inputs of each image and the content tag that follows, known before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.builds import content
from infra.lib.canonical_json import canonical_json
from infra.product import environment_variable
from infra.settings import Settings

PARENT_ARGUMENT = "BASE_IMAGE"
"""The build argument that gives an image its parent among ours, by digest."""
STAGING = ".slipway/context"
"""The folder of staged contexts: inside the checkout, ignored by git."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class BuildPlan:
    """One build: all that goes into it but its parent's digest, which only a build knows."""

    stack: str
    image: str
    files: tuple[content.ContextFile, ...]
    build_args: Mapping[str, str]
    parent: str | None
    content_tag: str

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile, relative to the context."""
        return f"images/{self.image}/Dockerfile"

    @property
    def context(self) -> str:
        """Its staged folder, relative to the repository: one for each stack, so that two can run at once."""
        return f"{STAGING}/{self.stack}/{self.image}"


def plan_builds(settings: Settings, root: Path, taken: Mapping[str, str] | None = None) -> dict[str, BuildPlan]:
    """Return the builds of a checkout, parents first.

    `taken` are the digests of images that are not built but taken as they are: a base that is pinned. Raises
    content.ContentError, a sentence for a person, if a context holds too much or what it must not.
    """
    taken = taken or {}
    plans: dict[str, BuildPlan] = {}
    for image in settings.product.build_order:
        if image in taken:
            continue
        base = settings.product.images[image].base
        files = content.list_context(root, settings.product.context(image), _extra_files(image, settings, root))
        content.check_size(image, files, settings.images.context_limit_mib[image] * MIB)
        build_args = _build_args(image, settings, root)
        plans[image] = BuildPlan(
            stack=settings.stack,
            image=image,
            files=files,
            build_args=build_args,
            parent=base,
            content_tag=content.content_tag(
                image=image,
                files=files,
                build_args=build_args,
                platform=settings.images.platform,
                # The base's digest if it is known already, else the tag that it will have.
                parents={base: taken.get(base) or plans[base].content_tag} if base else {},
                options={
                    "compression": settings.images.compression,
                    "compressionLevel": str(settings.images.compression_level),
                },
            ),
        )
    return plans


def _extra_files(image: str, settings: Settings, root: Path) -> dict[str, Path]:
    """Return what the settings add to a context, by place: wheels/FILE of PyTorch, models/NAME/FILE of our folders."""
    match settings.product.images[image].extra:
        case "torch":
            return {f"wheels/{wheel.name}": wheel for wheel in settings.images.torch.wheel_files(root)}
        case "models":
            return {
                f"models/{model.name}/{file.name}": file
                for model in settings.images.models
                if model.source == "folder"
                for file in sorted((root / model.reference).iterdir())
                if file.is_file()
            }
        case None:
            return {}


def _build_args(image: str, settings: Settings, root: Path) -> dict[str, str]:
    images, described = settings.images, settings.product.images[image]
    given = {f"{environment_variable(upstream)}_IMAGE": images.parents[upstream] for upstream in described.upstream}
    given["SOURCE_DATE_EPOCH"] = str(images.source_date_epoch)
    match described.extra:
        case "torch":
            given["TORCH_SOURCE"] = images.torch.source_in(root)
            given["TORCH_INDEX_URL"] = images.torch.index_url or ""
        case "models":
            given["MODELS"] = canonical_json([model.model_dump() for model in images.models])
    return given
