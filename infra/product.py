"""Load product.yaml: what the product is made of, as checked data that everything else reads.

One more service, image or secret is one entry there. `Pulumi.<stack>.yaml` says where and how much of it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import ConfigDict, Field, ValidationError, model_validator

from infra import ROOT
from infra.lib.errors import InputError
from infra.lib.messages import sentence, shown
from infra.lib.schema import Group, Legal
from infra.lib.yaml_file import YamlError, read_mapping

FILE = "product.yaml"
SCHEMA = "docs/product.schema.json"

Name = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40),
    Legal("1 to 40 lower-case letters, digits and single hyphens, a letter first"),
]
ServiceName = Annotated[
    str,
    # IAM's roles have 64 characters, of which project, stack and what else is in their names take 47.
    Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=17),
    Legal("1 to 17 lower-case letters, digits and single hyphens, a letter first"),
]
Pattern = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._*-]+(/[A-Za-z0-9._*-]+)*$", max_length=200),
    Legal("a file of the repository or a pattern, such as images/api/**"),
]
UrlPath = Annotated[
    str,
    Field(pattern=r"^(/[a-z0-9-]+)+$", max_length=100),
    Legal("a path of lower-case letters, digits and hyphens, such as /api"),
]
ProbedPath = Annotated[
    str,
    Field(pattern=r"^(/[A-Za-z0-9._~-]+)*/?$", min_length=1, max_length=200),
    Legal("a path without a query, such as /labs"),
]
Names = Annotated[tuple[Name, ...], Field(strict=False), Legal("a list of names")]
Patterns = Annotated[tuple[Pattern, ...], Field(strict=False), Legal("a list of files and patterns")]
Reference = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-zA-Z0-9./:@_-]*$", max_length=255),
    Legal("an image reference, such as python:3.11-slim"),
]
Module = Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)*$"), Legal("a Python module")]
Check = Literal["postgres-url", "redis-url", "api-key", "password"]
Permission = Literal["jobs:send", "jobs:count", "jobs:work", "release:read"]
Condition = Literal["started", "healthy", "completed"]
EnvironmentVariable = Annotated[
    str,
    Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100),
    Legal("the name of an environment variable, such as POSTGRES_DB"),
]
Folder = Annotated[
    str,
    Field(pattern=r"^(/[A-Za-z0-9._-]+)+$", max_length=100),
    Legal("an absolute path without blanks, such as /var/run/postgresql"),
]
Command = Annotated[
    tuple[Annotated[str, Field(max_length=2000)], ...],
    Field(strict=False, max_length=50),
    Legal("a command as a list of words"),
]
Status = Annotated[int, Field(ge=200, le=599)]
ONCE_MEMORY_MIB = 128
"""Memory of a service that runs once and says nothing about it, in MiB."""


class Entry(Group):
    """A part of product.yaml: frozen, strict, nothing unknown; its keys are spelled as its attributes."""

    model_config = ConfigDict(alias_generator=None)


class Image(Entry):
    """An image that is built."""

    upstream: Names = Field(description="Images from outside that it is built from, of `upstream`.")
    base: Name | None = Field(default=None, description="The product's image that it is built from.")
    context: Patterns = Field(description="Files that its build is given, besides the code of its services.")
    extra: Literal["torch", "models"] | None = Field(
        default=None, description="What the settings add: `torch`, PyTorch's wheels; `models`, the models to export."
    )
    size_mb: Annotated[int, Field(ge=1, le=20_000)] = Field(
        description="Size that it should stay under, unpacked, in MB (1,000,000 bytes)."
    )
    context_mib: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=64, description="Most that its build may be given, in MiB."
    )
    versioned: bool = Field(
        default=False, description="Whether it has versions, which a stack may pin instead of building it."
    )


class Route(Entry):
    """The path under which a service is reached through the edge."""

    path: UrlPath = Field(description="First part of the path, such as `/api`.")
    strip: bool = Field(default=True, description="Whether the service is asked without it.")
    max_body: Literal["64KB", "1MB", "10MB"] = Field(default="64KB", description="Most that a request may carry.")
    json_errors: bool = Field(default=True, description="Whether the edge answers errors as JSON, or as text.")


class Probe(Entry):
    """A route of a service that a new release is tried on before it serves."""

    path: ProbedPath = Field(description="Path that is asked, by GET, of the service's own container.")
    status: Annotated[tuple[Status, ...], Field(strict=False, min_length=1), Legal("a list of HTTP statuses")] = Field(
        default=(200,), description="Statuses that are right."
    )


class Backup(Entry):
    """The commands that back up the data of a service, run in its container."""

    dump: Annotated[Command, Field(min_length=1)] = Field(
        description="Command that writes all data to its standard output."
    )
    restore: Annotated[Command, Field(min_length=1)] = Field(
        description="Command that replaces the data, all of it or nothing, by a dump from its standard input."
    )


class Service(Entry):
    """A container of the API host."""

    image: Name | None = Field(default=None, description="The product's image that it runs.")
    external: Name | None = Field(default=None, description="The image from outside that it runs, of `upstream`.")
    user: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None, description="User that an external image runs as, by number."
    )
    edge: bool = Field(default=False, description="Whether it is what the world talks to, in front of the others.")
    once: bool = Field(default=False, description="Whether it runs to its end, at each release.")
    port: Annotated[int, Field(ge=1024, le=65_535)] | None = Field(
        default=None, description="TCP port that it listens on in its container."
    )
    memory_mib: Annotated[int, Field(ge=16, le=30_000)] | None = Field(
        default=None,
        description=f"Memory that it may have, in MiB; {ONCE_MEMORY_MIB} if left out of one that runs once.",
    )
    health: UrlPath = Field(
        default="/health",
        description="Path that it answers with 200 without an account when it is well, and with the digest of its "
        "image in the header X-Image-Digest.",
    )
    ready: UrlPath | None = Field(
        default=None,
        description="Path that it answers with 200 once all that it needs can be reached; its health if left out.",
    )
    probes: Annotated[tuple[Probe, ...], Field(strict=False, max_length=10), Legal("a list of paths and statuses")] = (
        Field(default=(), description="Routes that a new release must answer rightly before it serves.")
    )
    route: Route | None = Field(default=None, description="Where it is reached through the edge; empty for nowhere.")
    after: Mapping[ServiceName, Condition] = Field(
        default={}, description="Services that it waits for, and until they are started, healthy or completed."
    )
    packages: Names | None = Field(
        default=None, description="Folders of app/ with its code, with what it starts first; its name if left out."
    )
    secrets: Names = Field(default=(), description="Secrets that it is given, of `secrets`.")
    variables: Names = Field(default=(), description="Settings that it is given, of `variables`.")
    permissions: Annotated[tuple[Permission, ...], Field(strict=False), Legal("a list of permissions")] = Field(
        default=(), description="What it may do on AWS."
    )
    volume: Folder | None = Field(default=None, description="Folder that outlasts it, on the data volume.")
    unless: Name | None = Field(default=None, description="Secret that replaces it: with it set, it is not started.")
    command: Command = Field(default=(), description="Command that its container runs; its image's own if left out.")
    environment: Mapping[EnvironmentVariable, str] = Field(
        default={}, description="Environment variables with fixed values, such as the name of a database."
    )
    secret_variables: Mapping[Name, EnvironmentVariable] = Field(
        default={},
        description="Environment variables that hold its secrets, by secret, if they are called otherwise than the "
        "secrets.",
    )
    tmpfs: Annotated[tuple[Folder, ...], Field(strict=False, max_length=5), Legal("a list of folders")] = Field(
        default=(), description="Folders in memory that it may write to, besides /tmp: its file system is read-only."
    )
    check: Command = Field(
        default=(),
        description="Command that ends with 0 in its container once it can work, for what does not speak HTTP.",
    )
    on_start: Command = Field(
        default=(),
        description="Command that is run in its container each time that it was started and is ready, such as one "
        "that gives a database the password of the container's environment.",
    )

    backup: Backup | None = Field(
        default=None, description="How its data is dumped each night and restored; empty for no backup."
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.image is None) == (self.external is None):
            raise self.wrong("image", "set, or else external, but not both")
        if self.once and (self.port or self.route or self.edge or self.ready or self.probes):
            raise self.wrong(
                "once", "left out of what serves: what runs once has no port, route or probe and is no edge"
            )
        if not self.once and self.memory_mib is None:
            raise self.wrong("memory_mib", "a whole number of MiB for what keeps running")
        if (self.edge or self.route or self.ready or self.probes) and self.port is None:
            raise self.wrong("port", "the port that it serves on")
        if self.edge and self.route:
            raise self.wrong("route", "left out of the edge, which routes to the others")
        if self.check and (self.once or self.ready or self.probes or self.edge or self.route):
            raise self.wrong("check", "left out of what runs once or answers HTTP, which has ready and probes")
        if self.once and self.on_start:
            raise self.wrong("on_start", "left out of what runs once")
        if self.backup and (self.once or self.volume is None):
            raise self.wrong("backup", "left out of what has no volume or runs once")
        if stranger := next((name for name in self.secret_variables if name not in self.secrets), None):
            raise self.wrong("secret_variables", f"variables of its own secrets, but {stranger} is none of them")
        return self

    @property
    def memory_limit_mib(self) -> int:
        """Memory that its container may have."""
        return self.memory_mib or ONCE_MEMORY_MIB

    @property
    def stateful(self) -> bool:
        """Whether there can be only one of it, such as a database: a release does not start another one beside it."""
        return self.external is not None or self.volume is not None


class Worker(Entry):
    """The tasks on Fargate Spot that take jobs from the queue."""

    image: Name = Field(description="The product's image that it runs.")
    packages: Names = Field(default=(), description="Folders of app/ with its code.")
    secrets: Names = Field(default=(), description="Secrets that it is given, of `secrets`.")
    health: Annotated[tuple[str, ...], Field(strict=False, min_length=1), Legal("a command as a list of words")] = (
        Field(description="Command that ends with 0 in its container when it is well.")
    )
    self_test: Annotated[tuple[str, ...], Field(strict=False), Legal("a list of words")] = Field(
        default=(), description="Arguments with which its image tests itself and ends."
    )


class Hosted(Entry):
    """The service of the host that a secret leads to if a stack does not set it: the program composes its value."""

    service: ServiceName = Field(description="Service that the address leads to; it says `unless` this secret.")
    address: Annotated[
        str,
        Field(pattern=r"^[\x21-\x7e]+$", max_length=500),
        Legal("an address with {host} and {port}, and with {password} if there is one"),
    ] = Field(
        description="The value: `{host}`, `{port}` and `{password}` stand for the service's address and its password."
    )
    password: Name | None = Field(
        default=None, description="Secret that a stack must set in place of this one, to be part of the address."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        wanted = {"host", "port", *(["password"] if self.password else [])}
        if set(re.findall(r"{([^{}]*)}", self.address)) != wanted:
            raise self.wrong("address", f"an address with {{{'}, {'.join(sorted(wanted))}}}, and no other braces")
        return self

    def fill(self, host: str, port: int, password: str) -> str:
        """Return the address of the service at a host."""
        values = {"host": host, "port": str(port), "password": quote(password, safe="")}
        return re.sub(r"{(\w+)}", lambda match: values[match[1]], self.address)


class Secret(Entry):
    """A secret that a stack must set, unless a service of the host takes its place."""

    check: Check = Field(description="What it has to be.")
    description: str = Field(description="What it is, for the page of settings.")
    stand_in: str = Field(description="What stands in for an encrypted value, which only Pulumi can read.")
    without: Mapping[str, str] = Field(
        default={}, description="Environment variables that stand in on a developer's machine without this API key."
    )
    hosted: Hosted | None = Field(
        default=None, description="Service of the host that it leads to if a stack leaves it out."
    )


class Variable(Entry):
    """A setting of the product's own, that its services are given as they are."""

    default: str = Field(description="Its value if a stack sets none.")
    pattern: str = Field(description="Regular expression that it has to match.")
    legal: str = Field(description="What it may be, in words that complete 'it must be ...'.")
    description: str = Field(description="What it is, for the page of settings.")


class Product(Entry):
    """All of product.yaml."""

    upstream: Mapping[Name, Reference] = Field(
        description="Images from outside, by name; settings may pin each by digest (`images.parents`)."
    )
    longest_request_seconds: Annotated[int, Field(ge=1, le=600)] = Field(
        default=30,
        description="How long any request may take, and so how long the stop of a service waits, in seconds.",
    )
    shared_code: Patterns = Field(
        default=(), description="Files that the images of all services and of the worker have."
    )
    images: Mapping[Name, Image] = Field(description="The images that are built.")
    secrets: Mapping[Name, Secret] = Field(default={}, description="The secrets that a stack sets.")
    variables: Mapping[Name, Variable] = Field(default={}, description="Settings of the product's own.")
    services: Mapping[ServiceName, Service] = Field(default={}, description="The containers of the API host.")
    worker: Worker | None = Field(default=None, description="The tasks that take jobs, if the product has any.")
    smoke_test: Module | None = Field(
        default=None, description="Module that tries what was deployed, given its address."
    )
    demo: Module | None = Field(
        default=None,
        description="Module that `make dev` runs when all answers, given the product's address and a folder of its "
        "own, such as one that makes accounts.",
    )

    @property
    def passwords(self) -> Mapping[str, str]:
        """The secrets that a stack sets in place of others, with those others: passwords of services on the host."""
        return {
            secret.hosted.password: name
            for name, secret in self.secrets.items()
            if secret.hosted and secret.hosted.password
        }

    @property
    def build_order(self) -> tuple[str, ...]:
        """The images, each after the one that it is built from."""
        return _ordered(self.images, lambda name: [base] if (base := self.images[name].base) else [])

    @property
    def start_order(self) -> tuple[str, ...]:
        """The services, each after those that it waits for."""
        return _ordered(self.services, lambda name: self.services[name].after)

    @property
    def edge(self) -> str | None:
        """The service that the world talks to."""
        return next((name for name, service in self.services.items() if service.edge), None)

    @property
    def versioned_image(self) -> str | None:
        """The image that has versions."""
        return next((name for name, image in self.images.items() if image.versioned), None)

    def allows(self, permission: str) -> bool:
        """Return True if a service of the host has a permission."""
        return any(permission in service.permissions for service in self.services.values())

    @property
    def host_images(self) -> tuple[str, ...]:
        """The product's images that the host runs."""
        return tuple(dict.fromkeys(service.image for service in self.services.values() if service.image))

    def context(self, image: str) -> tuple[str, ...]:
        """Return the files that an image's build is given: its own, and the code of what runs from it."""
        packages = [
            package
            for name, service in self.services.items()
            if service.image == image and not service.edge
            for package in (service.packages if service.packages is not None else (name,))
        ]
        if self.worker and self.worker.image == image:
            packages += self.worker.packages
        code = [f"app/{package}/**" for package in dict.fromkeys(packages)]
        return (*self.images[image].context, *(self.shared_code if code else ()), *code)


class ProductError(InputError):
    """product.yaml is wrong; the message is one sentence a problem, each on a line of its own."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load(path: Path) -> Product:
    """Return the product that a file describes. Raises ProductError with every problem."""
    prefix = f"{path.name}: "
    try:
        data = read_mapping(path)
    except FileNotFoundError:
        raise ProductError([f"{path} is not there: restore it from git."]) from None
    except YamlError as error:
        raise ProductError([str(error)]) from None
    try:
        product = Product.model_validate(data)
    except ValidationError as error:
        raise ProductError(sentence(Product, each, prefix) for each in error.errors(include_url=False)) from None
    if problems := [f"{prefix}{problem}" for problem in _problems(product)]:
        raise ProductError(problems)
    return product


@cache
def product_of(root: Path = ROOT) -> Product:
    """Return the product of a checkout. Raises ProductError."""
    return load(root / FILE)


def environment_variable(name: str) -> str:
    """Return a name as environment variables are spelled: `database-url` -> `DATABASE_URL`."""
    return name.upper().replace("-", "_")


def _problems(product: Product) -> Iterator[str]:
    """Yield what is wrong with the entries taken together."""
    yield from _references(product)
    for what, entries, before in (
        ("images", product.images, lambda name: [base] if (base := product.images[name].base) else []),
        ("services", product.services, lambda name: product.services[name].after),
    ):
        try:
            _ordered(entries, before)
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            yield f"{what} wait for each other ({circle}); one of them must come first."
    ports = [str(service.port) for service in product.services.values() if service.port]
    routes = [service.route.path for service in product.services.values() if service.route]
    for what, values in (("port", ports), ("route", routes)):
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"services has the {what} {value} twice; each must have its own."
    passwords = [
        secret.hosted.password for secret in product.secrets.values() if secret.hosted and secret.hosted.password
    ]
    for password in sorted({name for name in passwords if passwords.count(name) > 1}):
        yield f"secrets has the password {password} twice; each hosted service must have its own."
    if sum(service.edge for service in product.services.values()) > 1:
        yield "services has two with edge: true; there must be one at most."
    if sum(image.versioned for image in product.images.values()) > 1:
        yield "images has two with versioned: true; there must be one at most."


def _references(product: Product) -> Iterator[str]:
    """Yield the names that nothing has."""
    for name, image in product.images.items():
        place = f"images.{name}"
        yield from _unknown(f"{place}.upstream", image.upstream, product.upstream)
        yield from _unknown(f"{place}.base", [image.base], product.images)
    for name, service in product.services.items():
        place = f"services.{name}"
        yield from _unknown(f"{place}.image", [service.image], product.images)
        yield from _unknown(f"{place}.external", [service.external], product.upstream)
        yield from _unknown(f"{place}.after", service.after, product.services)
        yield from _unknown(f"{place}.secrets", service.secrets, product.secrets)
        yield from _unknown(f"{place}.variables", service.variables, product.variables)
        yield from _unknown(f"{place}.unless", [service.unless], product.secrets)
        if product.worker is None and any(permission.startswith("jobs:") for permission in service.permissions):
            yield f"{place}.permissions has one for jobs, but there is no worker to do them; leave it out."
    for name, secret in product.secrets.items():
        if secret.hosted:
            yield from _hosted(product, name, secret.hosted)
    if product.worker:
        yield from _unknown("worker.image", [product.worker.image], product.images)
        yield from _unknown("worker.secrets", product.worker.secrets, product.secrets)


def _hosted(product: Product, name: str, hosted: Hosted) -> Iterator[str]:
    """Yield what keeps a secret from leading to a service of the host."""
    place = f"secrets.{name}.hosted"
    yield from _unknown(f"{place}.service", [hosted.service], product.services)
    yield from _unknown(f"{place}.password", [hosted.password], product.secrets)
    service = product.services.get(hosted.service)
    if service and (service.unless != name or service.port is None or not service.stateful):
        yield (
            f"{place}.service names {shown(hosted.service)}, which must be external or have a volume, and have a port "
            f"and unless: {name}."
        )


def _unknown(place: str, names: Iterable[str | None], known: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name is not None and name not in known:
            yield f"{place} names {shown(name)}, but there is no such entry; there are {', '.join(known) or 'none'}."


def _ordered(entries: Iterable[str], before: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Return the names, each after those that come before it, otherwise in the order of the file."""
    names = list(entries)
    sorter = TopologicalSorter({name: [each for each in before(name) if each in names] for name in names})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready: Sequence[str] = sorted(sorter.get_ready(), key=names.index)
        order += ready
        sorter.done(*ready)
    return tuple(order)


def schema() -> str:
    """Return the JSON schema of product.yaml, for editors."""
    return json.dumps(Product.model_json_schema(), indent=1, sort_keys=True) + "\n"
