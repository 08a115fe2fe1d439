"""What each image is built from, and the content tag that follows: known before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.builds import content
from infra.lib.canonical_json import canonical_json
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
            *("app/api/**", "app/auth/**", "app/chat/**", "app/dashboard/**", "app/migrate/**", "app/migrations/**"),
        ),
        parents=("python",),
    ),
    "web": Recipe(
        # File by file at the top, where what the package manager and a build on this machine leave lies too.
        allow=(
            *("images/web/**", "app/web/src/**", "app/web/public/**", "app/web/index.html", "app/web/.npmrc"),
            *("app/web/package.json", "app/web/package-lock.json", "app/web/tsconfig.json", "app/web/vite.config.ts"),
        ),
        parents=("node", "caddy"),
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


def plan_builds(settings: Settings, root: Path, taken: Mapping[str, str] | None = None) -> dict[str, BuildPlan]:
    """The builds of a checkout, parents first.

    `taken` are the digests of images that are not built but taken as they are: a base that is pinned. Raises
    content.ContentError, a sentence for a person, where a context holds too much or what it must not.
    """
    taken = taken or {}
    plans: dict[str, BuildPlan] = {}
    for image, recipe in RECIPES.items():
        if image in taken:
            continue
        extra = {}
        if image == "base":
            extra = {f"wheels/{wheel.name}": wheel for wheel in settings.images.torch.wheel_files(root)}
        if image == "worker":
            extra = _model_files(settings, root)
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
                parents=_parents(recipe, plans, taken),
                options={
                    "compression": settings.images.compression,
                    "compressionLevel": str(settings.images.compression_level),
                },
            ),
        )
    return plans


def _parents(recipe: Recipe, plans: Mapping[str, BuildPlan], taken: Mapping[str, str]) -> dict[str, str]:
    """What stands for the image of ours that another is built from: its digest, where it is known already."""
    if recipe.parent is None:
        return {}
    return {recipe.parent: taken.get(recipe.parent) or plans[recipe.parent].content_tag}


def _model_files(settings: Settings, root: Path) -> dict[str, Path]:
    """The files of the models that are folders of ours, by their place in the context: models/NAME/FILE."""
    return {
        f"models/{model.name}/{file.name}": file
        for model in settings.images.models
        if model.source == "folder"
        for file in sorted((root / model.reference).iterdir())
        if file.is_file()
    }


def _build_args(image: str, recipe: Recipe, settings: Settings, root: Path) -> dict[str, str]:
    images = settings.images
    given = {f"{parent.upper()}_IMAGE": images.parents[parent] for parent in recipe.parents}
    given["SOURCE_DATE_EPOCH"] = str(images.source_date_epoch)
    if image == "base":
        given["TORCH_SOURCE"] = images.torch.source_in(root)
        given["TORCH_INDEX_URL"] = images.torch.index_url or ""
    if image == "worker":
        given["MODELS"] = canonical_json([model.model_dump() for model in images.models])
    return given
