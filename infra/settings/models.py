"""The settings of a stack, in groups: `slipway:worker: {memoryMib: 3072}` in its `Pulumi.<stack>.yaml`."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, create_model, field_validator, model_validator
from pydantic.alias_generators import to_camel

from infra.lib.aws_limits import FARGATE_MEMORY_MIB, INSTANCE_TYPES, LOG_RETENTION_DAYS
from infra.lib.messages import SettingsError
from infra.lib.schema import Group, Legal, named, wrong
from infra.product import Hosted, Product, ProductError, Service
from infra.settings import checks
from infra.settings.images import Images
from infra.settings.patterns import (
    DOMAIN,
    HOST,
    IMAGE_PATH,
    Cidr,
    EmailAddress,
    ImageReference,
    LimitMib,
    SizeMb,
    StackName,
)

HOST_NUMBER = 11
"""The host's place in its subnet. AWS keeps the first four addresses and the last for itself.

Hosts of before they had an interface of their own are at 10, which is taken until they are replaced.
"""
# Open to whoever may reach the API, these would let them reach something else.
PORTS_IN_USE = {22: "SSH", 5432: "PostgreSQL", 6379: "Redis"}
ANYWHERE = "0.0.0.0/0"
HTTP_PORT = 80
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


class Registry(Group):
    """The registry of the images."""

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
    ] = Field(
        default=(ANYWHERE,),
        description="Networks that may reach the API; without host.domain in plain HTTP.",
    )

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
        """The subnets' networks, one a zone: quarters, so that a third zone moves neither of the first two."""
        quarters = ipaddress.IPv4Network(self.cidr).subnets(prefixlen_diff=2)
        return tuple(str(subnet) for subnet, _ in zip(quarters, range(self.zones), strict=False))

    @property
    def host_address(self) -> str:
        """The API host's private address, which outlasts every instance."""
        return str(ipaddress.IPv4Network(self.subnet_cidrs[0])[HOST_NUMBER])


EDGE_GRACE_SECONDS = 30
"""Time that the host gives a container to stop beyond the longest request, as in infra/host/deploy.py."""


class ReleaseTimes(Group):
    """How long the steps of a release may take; a release that takes longer fails, and the old one goes on."""

    agent_seconds: Annotated[int, Field(ge=60, le=1800)] = Field(
        default=600,
        description="How long the instance may take until its agent takes commands, in seconds; the first boot "
        "installs Docker.",
    )
    pull_seconds: Annotated[int, Field(ge=30, le=1800)] = Field(
        default=300, description="How long the images may take to be pulled, in seconds."
    )
    once_seconds: Annotated[int, Field(ge=10, le=1800)] = Field(
        default=120, description="How long a service that runs once may take, such as the migrations, in seconds."
    )
    ready_seconds: Annotated[int, Field(ge=10, le=600)] = Field(
        default=90, description="How long a new service may take until it is ready, in seconds."
    )
    steady_seconds: Annotated[int, Field(ge=1, le=60)] = Field(
        default=6, description="How long the new services must stay ready before they serve, in seconds."
    )
    watch_seconds: Annotated[int, Field(ge=1, le=60)] = Field(
        default=5, description="How long they are watched once they serve, before the old ones are stopped, in seconds."
    )
    certificate_seconds: Annotated[int, Field(ge=1, le=600)] = Field(
        default=90,
        description="How long a release waits for the certificate of a domain that has none yet, in seconds; a first "
        "try that failed is repeated after 60.",
    )


class Updates(Group):
    """The weekly window in which the host installs security updates."""

    enabled: bool = Field(
        default=True,
        description="Whether the host installs the system's security updates each week, and restarts if they need it.",
    )
    day: Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] = Field(
        default="Sun", description="Day of the window, in UTC."
    )
    hour: Annotated[int, Field(ge=0, le=23)] = Field(
        default=3,
        description="Hour in which the updates begin, in UTC; a restart takes about a minute, in which nothing serves.",
    )


class Backups(Group):
    """The nightly dump of the databases on the host."""

    hour: Annotated[int, Field(ge=0, le=23)] = Field(default=2, description="Hour in which the dump begins, in UTC.")
    keep: Annotated[int, Field(ge=1, le=60)] = Field(
        default=7, description="How many dumps are kept, on the data volume."
    )


class Snapshots(Group):
    """The nightly snapshots of the data volume."""

    # AWS keeps at most 1,000 by one schedule.
    keep: Annotated[int, Field(ge=0, le=365)] = Field(
        default=7,
        description="How many snapshots of the data volume are kept, outside of it; 0 for none. One begins each night, "
        "in the hour after the one in which the dump begins.",
    )


class Host(Group):
    """The machine that the API runs on."""

    instance_type: Annotated[
        str,
        AfterValidator(checks.instance_type),
        Legal(f"one of {', '.join(INSTANCE_TYPES)}"),
    ] = Field(
        default="t2.small",
        description="Instance type; t2.small has 2 GB of memory. Its CPU credits are `standard`: once they are used up "
        "the host is slow, and never costs more.",
    )
    image: (
        Annotated[str, Field(pattern=r"^ami-([0-9a-f]{8}|[0-9a-f]{17})$"), Legal("an image's id, such as ami-12345678")]
        | None
    ) = Field(
        default=None,
        description="Machine image of the instance; a change replaces the instance. If empty: the Amazon Linux 2023 "
        "that was current at the first `up`, also for replacements.",
    )
    root_volume_gib: Annotated[int, Field(ge=8, le=1000)] = Field(
        default=20, description="Volume of the system and its images, in GiB."
    )
    data_volume_gib: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="Volume of what the databases hold, which outlasts the instance, in GiB."
    )
    data_snapshot: (
        Annotated[
            str,
            Field(pattern=r"^snap-([0-9a-f]{8}|[0-9a-f]{17})$"),
            Legal("a snapshot's id, such as snap-0123456789abcdef0"),
        ]
        | None
    ) = Field(
        default=None,
        description="Snapshot that the data volume is made from. Another one replaces the volume; taking the setting "
        "out changes nothing. Without one a new volume is blank.",
    )
    protect_data: bool = Field(
        default=True, description="Whether Pulumi refuses to delete or replace the volume of the databases."
    )
    http_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=HTTP_PORT, description="TCP port of the API, by HTTP; with a domain it is 80, and 443 is HTTPS."
    )
    domain: (
        Annotated[
            str,
            Field(pattern=DOMAIN, max_length=253),
            Legal("a domain's full name in lower case, such as labs.example.com"),
        ]
        | None
    ) = Field(
        default=None,
        description="Domain of the API, whose A record names the elastic address (and which has no AAAA record): the "
        "edge gets its certificates and answers by HTTPS; empty for HTTP alone. Set it once the record leads there "
        "(the output `apiAddress`): Let's Encrypt refuses more after 5 failed tries in an hour.",
    )
    acme_directory: Annotated[
        str,
        AfterValidator(checks.acme_directory),
        Legal(
            "the https address of an ACME server's directory, such as https://acme-staging-v02.api.letsencrypt.org/directory"
        ),
    ] = Field(default=LETS_ENCRYPT, description="ACME server that certificates come from.")
    acme_root: (
        Annotated[
            str,
            AfterValidator(checks.certificate),
            Legal("one certificate in PEM, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"),
        ]
        | None
    ) = Field(
        default=None,
        description="Certificate of the authority that the ACME server's own certificate comes from; empty for a "
        "public one.",
    )
    release: ReleaseTimes = Field(default=ReleaseTimes(), description="How long the steps of a release may take.")
    updates: Updates = Field(
        default=Updates(), description="The weekly window in which the host installs security updates."
    )
    backups: Backups = Field(default=Backups(), description="The nightly dump of the databases on the host.")
    snapshots: Snapshots = Field(default=Snapshots(), description="The nightly snapshots of the data volume.")

    @model_validator(mode="after")
    def _port_is_free(self) -> Self:
        if self.http_port in PORTS_IN_USE:
            raise self.wrong("http_port", f"a port that is not {PORTS_IN_USE[self.http_port]}'s, such as 80")
        return self

    @model_validator(mode="after")
    def _domain_has_its_ports(self) -> Self:
        if self.domain and self.http_port != HTTP_PORT:
            raise self.wrong("http_port", "80 with a domain: there the ACME server looks for its answer")
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
    """Return the legal memories of one cpu in words; ECS's long lists go in equal steps."""
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
        description="Tasks that the service starts with. A later change has no effect on a service that exists, but "
        "the bill counts it.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        legal = FARGATE_MEMORY_MIB[self.cpu]
        if self.memory_mib not in legal:
            raise self.wrong("memory_mib", f"{_memories(legal)} for a cpu of {self.cpu}")
        return self


class Logs(Group):
    """The logs in CloudWatch Logs."""

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
    """The budget of a month."""

    monthly_usd: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=50, description="Budget of a month, in US dollars."
    )
    email: EmailAddress | None = Field(
        default=None, description="Who is told when the budget is used up; empty for nobody."
    )


class Alerts(Group):
    """The person who is told when something is wrong."""

    email: EmailAddress | None = Field(
        default=None,
        description="Who gets a message when an alarm begins and ends, once the address has confirmed AWS's e-mail; "
        "empty for nobody: the alarms are then on the dashboard only.",
    )


class Settings(Group):
    """The settings of one stack, with its project and name.

    A product's secrets and variables are fields too, which `settings_model` adds.
    """

    product: ClassVar[Product]
    """The product that the stack deploys."""

    project: StackName = Field(description="Name of the Pulumi project.")
    stack: StackName = Field(description="Name of the stack.")
    region: Annotated[str, AfterValidator(checks.region), Legal("an AWS region, such as us-east-1")] = Field(
        default="us-east-1", description="AWS region of everything in the stack."
    )
    account_id: Annotated[str, Field(pattern="^[0-9]{12}$"), Legal("12 digits, in quotes")] | None = Field(
        default=None, description="AWS account; when set, any other account is refused."
    )
    registry: Registry = Field(description="The registry of the images.", json_schema_extra={"default": "its defaults"})
    images: Images = Field(default=Images(), description="What is built, or taken, to run.")
    network: Network = Field(default=Network(), description="The network of the stack, and who may reach it.")
    host: Host = Field(default=Host(), description="The machine that the API runs on.")
    jobs: Jobs = Field(default=Jobs(), description="The queue between the API and the worker.")
    worker: Worker = Field(default=Worker(), description="The tasks that do the machine learning.")
    logs: Logs = Field(default=Logs(), description="The logs in CloudWatch Logs.")
    budget: Budget = Field(default=Budget(), description="The budget of a month.")
    alerts: Alerts = Field(default=Alerts(), description="The person who is told when something is wrong.")

    @property
    def prefix(self) -> str:
        """The start of every name but those of repositories and parameters: `<project>-<stack>`."""
        return f"{self.project}-{self.stack}"

    @property
    def parameter_path(self) -> str:
        """Path of the stack's SSM parameters."""
        return parameter_path(self.project, self.stack)

    def is_set(self, name: str) -> bool:
        """Return True if the stack sets one of the product's secrets."""
        return getattr(self, attribute_of(name)) is not None

    def hosted(self, name: str) -> Hosted | None:
        """Return the service of the host that a secret leads to; None if the stack sets the secret itself."""
        return None if self.is_set(name) else self.product.secrets[name].hosted

    def secret(self, name: str) -> str:
        """Return the value of a secret that the stack sets."""
        value: SecretStr = getattr(self, attribute_of(name))
        return value.get_secret_value()

    def ports_of(self, secrets: Iterable[str]) -> tuple[int, ...]:
        """Return the TCP ports that addresses outside the host lead to, among some of the product's secrets."""
        checks_of = {name: self.product.secrets[name].check for name in secrets if self.is_set(name)}
        return tuple(
            sorted(
                {
                    urlsplit(self.secret(name)).port or DEFAULT_PORTS[check]
                    for name, check in checks_of.items()
                    if check in DEFAULT_PORTS
                }
            )
        )

    @property
    def services(self) -> Mapping[str, Service]:
        """The services that the host runs, in the order in which they start: all but those that a secret replaces."""
        services = self.product.services
        return {
            name: services[name]
            for name in self.product.start_order
            if services[name].unless is None or not self.is_set(str(services[name].unless))
        }

    @property
    def keeps_data(self) -> bool:
        """Whether anything is on the data volume: the data of a service, or certificates."""
        return self.host.domain is not None or any(service.volume for service in self.services.values())

    @property
    def snapshots_kept(self) -> int:
        """How many snapshots of the data volume are kept."""
        return self.host.snapshots.keep if self.keeps_data else 0

    @property
    def service_secrets(self) -> tuple[str, ...]:
        """The secrets of the services that the host runs, sorted."""
        return tuple(sorted({secret for service in self.services.values() for secret in service.secrets}))

    @property
    def release_seconds(self) -> int:
        """How long an `up` waits for a release: another one may be under way, and ends first."""
        times = self.host.release
        services = self.services.values()
        # Services start one after another. A database is stopped before its successor starts.
        starts = sum(times.once_seconds if service.once else times.ready_seconds for service in services)
        stop = self.product.longest_request_seconds + EDGE_GRACE_SECONDS
        restarts = stop * sum(service.stateful for service in services)
        # A service that is not steady has its readiness limit once more.
        proof = times.ready_seconds + times.steady_seconds + times.watch_seconds + times.certificate_seconds
        # The old edge stops first, then the other old containers together.
        drain = 2 * stop
        return 2 * (times.pull_seconds + starts + restarts + proof + drain)

    def variable(self, name: str) -> str:
        """Return the value of one of the product's variables."""
        return str(getattr(self, attribute_of(name)))

    @property
    def owns_registry(self) -> bool:
        """Whether the repositories are this stack's; otherwise it uses those of the stack `registry.owner`."""
        return self.registry.owner == self.stack

    def build_secrets(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the values of the build secrets. Raises SettingsError if the variable of one is not set."""
        missing = [
            f"{self.project}:images.buildSecrets.{secret} names the environment variable {variable}, which is not set; "
            f"set it where Pulumi runs, or leave {secret} out."
            for secret, variable in self.images.build_secrets.items()
            if not environment.get(variable)
        ]
        if missing:
            raise SettingsError(missing)
        return {secret: environment[variable] for secret, variable in self.images.build_secrets.items()}


CHECKS: Mapping[str, tuple[Callable[[SecretStr], SecretStr], str]] = {
    "postgres-url": (checks.database_url, "postgresql://user:password@host:port/name"),
    "redis-url": (checks.redis_url, "redis://host:port/number"),
    "api-key": (checks.api_key, "an API key of 8 or more characters"),
    "password": (checks.password, "a password of 12 or more characters"),
}
"""The check of a secret, and its legal values in words, by its word in product.yaml."""
DEFAULT_PORTS: Mapping[str, int] = {"postgres-url": 5432, "redis-url": 6379}
"""The ports of addresses that name none, by the kind of secret."""
_MODELS: dict[int, tuple[Product, type[Settings]]] = {}


def parameter_path(project: str, stack: str) -> str:
    """Return the path of a stack's SSM parameters: `/<project>/<stack>`."""
    return f"/{project}/{stack}"


def attribute_of(name: str) -> str:
    """Return the attribute of a secret or variable: `database-url` -> `database_url`."""
    return name.replace("-", "_")


def key_of_secret(name: str) -> str:
    """Return the key of a secret or variable in `Pulumi.<stack>.yaml`: `database-url` -> `databaseUrl`."""
    return to_camel(attribute_of(name))


def settings_model(product: Product) -> type[Settings]:
    """Return the settings of a product: the fields of `Settings`, and those that the product adds.

    Raises ProductError if a secret or variable is called like another setting.
    """
    if id(product) not in _MODELS:
        _MODELS[id(product)] = (product, _make_model(product))  # keeps the product, and so its id
    return _MODELS[id(product)][1]


def _make_model(product: Product) -> type[Settings]:
    limits = {name: image.context_mib for name, image in product.images.items()}
    budgets = {name: image.size_mb for name, image in product.images.items()}
    names = ", ".join(product.images)
    images = create_model(
        "Images",
        __base__=Images,
        parents=_named(
            ImageReference,
            product.upstream,
            f"image references under the names {', '.join(product.upstream)}",
            "Images from outside that ours are built from; by digest, a build can be repeated.",
        ),
        context_limit_mib=_named(
            LimitMib,
            limits,
            f"whole numbers from 1 to 10000 under the names {names}",
            "Most that a build may be given, for each image, in MiB.",
        ),
        size_budget_mb=_named(
            SizeMb,
            budgets,
            f"whole numbers from 1 to 20000 under the names {names}",
            "Size that each image should stay under, unpacked, in MB (1,000,000 bytes).",
        ),
    )
    fields: dict[str, Any] = {"images": (images, Field(default=images(), description=Images.__doc__))}
    for name, secret in product.secrets.items():
        check, right = CHECKS[secret.check]
        kind = Annotated[SecretStr, AfterValidator(check), Legal(right)]
        optional = secret.hosted is not None or name in product.passwords
        fields[attribute_of(name)] = (
            (kind | None, Field(default=None, description=secret.description))
            if optional
            else (kind, Field(description=secret.description))
        )
    for name, variable in product.variables.items():
        text = Annotated[str, Field(pattern=variable.pattern, max_length=100), Legal(variable.legal)]
        fields[attribute_of(name)] = (text, Field(default=variable.default, description=variable.description))
    taken = sorted((fields.keys() - {"images"}) & Settings.model_fields.keys())
    if taken or len(fields) <= len(product.secrets) + len(product.variables):
        clash = taken[0] if taken else "a secret and a variable"
        raise ProductError([f"product.yaml: {clash} is the name of another setting; it must be a name of its own."])
    model: type[Settings] = create_model("Settings", __base__=Settings, **fields)
    model.product = product
    return model


def _named(kind: Any, defaults: Mapping[str, object], right: str, description: str) -> Any:
    """Return a field that maps the names of `defaults` to values of a kind."""
    annotation = Annotated[Mapping[str, kind], named(defaults), Legal(right)]
    return (annotation, Field(default=dict(defaults), description=description))
