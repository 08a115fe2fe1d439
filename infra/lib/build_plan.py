"""What each image is built from, and the content tag that follows: known before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.lib import content
from infra.settings import Settings

PARENT_ARGUMENT = "BASE_IMAGE"
"""The build argument that gives an image its parent among ours, by digest."""
STAGING = ".slipway/context"
"""Where contexts are staged: inside the checkout, ignored by git."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Recipe:
    """How one image of the product is made."""

    allow: tuple[str, ...]
    """The files that its build may see: patterns relative to the repository."""
    parents: tuple[str, ...]
    """Images from outside the project, by their name in the settings."""
    parent: str | None = None
    """The image of ours that it is built from."""


RECIPES: Mapping[str, Recipe] = {
    "base": Recipe(allow=("images/base/**",), parents=("python",)),
    "worker": Recipe(
        allow=("images/worker/**", "app/__init__.py", "app/common/**", "app/worker/**"),
        parents=("python",),
        parent="base",
    ),
    "api": Recipe(
        allow=(
            *("images/api/**", "app/__init__.py", "app/__main__.py", "app/health.py", "app/common/**"),
            *("app/api/**", "app/auth/**", "app/migrate/**", "app/migrations/**"),
        ),
        parents=("python",),
    ),
}
"""Every image, in the order in which they can be built."""


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


def plan_builds(settings: Settings, root: Path) -> dict[str, BuildPlan]:
    """The builds of a checkout, parents first.

    Raises content.ContentError, a sentence for a person, where a context holds too much or what it must not.
    """
    plans: dict[str, BuildPlan] = {}
    for image, recipe in RECIPES.items():
        extra = {}
        if image == "base":
            extra = {f"wheels/{wheel.name}": wheel for wheel in settings.images.torch.wheel_files(root)}
        files = content.list_context(root, recipe.allow, extra)
        content.check_size(image, files, settings.images.context_limit_mib[image] * MIB)
        build_args = _build_args(image, recipe, settings, root)
        plans[image] = BuildPlan(
            stack=settings.stack,
            image=image,
            files=files,
            build_args=build_args,
            parent=recipe.parent,
            content_tag=content.content_tag(
                image=image,
                files=files,
                build_args=build_args,
                platform=settings.images.platform,
                parents={recipe.parent: plans[recipe.parent].content_tag} if recipe.parent else {},
                options={
                    "compression": settings.images.compression,
                    "compressionLevel": str(settings.images.compression_level),
                },
            ),
        )
    return plans


def _build_args(image: str, recipe: Recipe, settings: Settings, root: Path) -> dict[str, str]:
    images = settings.images
    given = {f"{parent.upper()}_IMAGE": images.parents[parent] for parent in recipe.parents}
    given["SOURCE_DATE_EPOCH"] = str(images.source_date_epoch)
    if image == "base":
        given["TORCH_SOURCE"] = images.torch.source_in(root)
        given["TORCH_INDEX_URL"] = images.torch.index_url or ""
    if image == "worker":
        (model,) = images.models
        given |= {
            "MODEL_NAME": model.name,
            "MODEL_SOURCE": model.source,
            "MODEL_REFERENCE": model.reference,
            "MODEL_REVISION": model.revision,
            "MODEL_SHA256": model.sha256,
        }
    return given
