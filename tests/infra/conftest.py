"""The whole program, run under Pulumi's mocks: what it asks of the cloud, without a cloud."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import grpc
import pulumi
import pytest
from botocore.exceptions import ClientError
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import settings as runtime_settings
from pulumi.runtime import stack as runtime_stack

from infra import program
from infra import settings as settings_module
from infra.builds import content, staging
from infra.components import host_release, image, interruptions
from infra.lib import domain_name
from infra.product import Product, product_of
from infra.product import load as load_product
from infra.releases.gate import GateError
from infra.settings.images import Images

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
PRODUCT = product_of()


def digests_of(product: Product) -> dict[str, str]:
    """Return a digest for each image."""
    return {image: f"sha256:{f'{number:x}' * 64}" for number, image in enumerate(product.images, start=10)}


DIGESTS = digests_of(PRODUCT)
PINNED = f"sha256:{'e' * 64}"
"""The digest of the base whose version a stack pins."""
BUDGET = {
    "slipway:budget": {"monthlyUsd": 40, "email": "team@example.com"},
    "slipway:alerts": {"email": "team@example.com"},
}
"""Settings with which a stack tells somebody: every kind of resource is declared then."""
SECRETS = {
    "slipway:databaseUrl": "postgresql://slipway:hush@10.20.0.11:5432/slipway",
    "slipway:redisUrl": "redis://10.20.0.11:6379/0",
    "slipway:openaiApiKey": "sk-not-a-key-at-all",
}


HOSTED: dict[str, Any] = {
    "slipway:databaseUrl": None,
    "slipway:redisUrl": None,
    "slipway:databasePassword": "hush-hush%hush",
}
"""Settings of a stack whose host runs PostgreSQL and Redis."""


ID_PREFIXES = {
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": "policy",
    "aws:ebs/volume:Volume": "vol",
    "aws:ec2/eip:Eip": "eipalloc",
    "aws:ec2/instance:Instance": "i",
    "aws:ec2/networkInterface:NetworkInterface": "eni",
    "aws:ec2/internetGateway:InternetGateway": "igw",
    "aws:ec2/routeTable:RouteTable": "rtb",
    "aws:ec2/securityGroup:SecurityGroup": "sg",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/vpc:Vpc": "vpc",
}
ARNS = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:us-east-1:{account}:alarm:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "logs:us-east-1:{account}:log-group:{name}",
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": "dlm:us-east-1:{account}:policy/policy-0123456789abcdef0",
    "aws:ecr/repository:Repository": "ecr:us-east-1:{account}:repository/{name}",
    "aws:ecs/cluster:Cluster": "ecs:us-east-1:{account}:cluster/{name}",
    "aws:ecs/taskDefinition:TaskDefinition": "ecs:us-east-1:{account}:task-definition/{name}:1",
    "aws:iam/role:Role": "iam::{account}:role/{name}",
    "aws:sns/topic:Topic": "sns:us-east-1:{account}:{name}",
    "aws:sqs/queue:Queue": "sqs:us-east-1:{account}:{name}",
    "aws:ssm/document:Document": "ssm:us-east-1:{account}:document/{name}",
    "aws:ssm/parameter:Parameter": "ssm:us-east-1:{account}:parameter{name}",
}


def id_of(kind: str, name: str) -> str:
    """Return an id in the form that AWS gives to resources of this kind."""
    prefix = ID_PREFIXES.get(kind)
    return f"{prefix}-{hashlib.sha256(name.encode()).hexdigest()[:17]}" if prefix else f"{name}-id"


def arn_of(kind: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Return an ARN in the form that AWS gives to resources of this kind."""
    form = ARNS.get(kind, "mock:us-east-1:{account}:{name}")
    return "arn:aws:" + form.format(account=ACCOUNT, name=inputs.get("name") or inputs.get("family") or name)


@dataclass
class Asked:
    """One resource that the program asked for."""

    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """What the program asked the engine to do with a resource that is there."""

    protected: bool
    retained: bool
    ignored: tuple[str, ...]
    deleted_first: bool
    after: frozenset[str]
    """Names of the resources that it waits for."""


class Monitor(pulumi_mocks.MockMonitor):
    """The mocks' monitor, which also notes the options of resources, by name."""

    def __init__(self, cloud: "Cloud") -> None:
        super().__init__(cloud)
        self._kept = cloud.kept

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        self._kept[request.name] = Kept(
            request.protect,
            request.retainOnDelete,
            tuple(request.ignoreChanges),
            request.deleteBeforeReplace,
            frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
        )
        return super().RegisterResource(request)


class Refused(grpc.RpcError):
    """A provider's refusal, as it comes through the engine."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "reading ECR Images: couldn't find resource"


@dataclass
class Ecr:
    """ECR's own API, as boto3 has it, for the repository of the base: digests by tag."""

    tags: dict[str, str] = field(default_factory=dict)

    class exceptions:  # noqa: N801  boto3's name
        class ImageNotFoundException(Exception):  # noqa: N818  AWS's name
            pass

    def describe_images(self, *, repositoryName: str, imageIds: Any) -> dict[str, Any]:  # noqa: N803
        assert repositoryName.endswith("/base")
        digest = self.tags.get(imageIds[0]["imageTag"])
        if digest is None:
            raise self.exceptions.ImageNotFoundException
        return {"imageDetails": [{"imageDigest": digest}]}

    def batch_get_image(self, *, imageIds: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"images": [{"imageManifest": imageIds[0]["imageDigest"], "imageManifestMediaType": "oci"}]}

    def put_image(self, *, imageDigest: str, imageTag: str, **_: Any) -> None:  # noqa: N803
        assert imageTag not in self.tags
        self.tags[imageTag] = imageDigest


@dataclass
class Ssm:
    """SSM's own API, as boto3 has it: parameters by name, what was read and deleted, the history of `verified`."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    refusal: Exception | None = None
    """The error of a read, if AWS refuses it."""
    read: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    history: Sequence[str] = ()
    """The values, the oldest first."""
    denied: bool = False

    class exceptions:  # noqa: N801  boto3's name
        class ParameterNotFound(Exception):  # noqa: N818  AWS's name
            pass

    def get_parameters(self, *, Names: list[str]) -> dict[str, Any]:  # noqa: N803  AWS's name
        self.read += Names
        if self.refusal:
            raise self.refusal
        found = [{"Name": name, "Value": self.parameters[name]} for name in Names if name in self.parameters]
        return {"Parameters": found, "InvalidParameters": [name for name in Names if name not in self.parameters]}

    def get_paginator(self, operation: str) -> "Ssm":
        assert operation == "get_parameter_history"
        return self

    def paginate(self, *, Name: str) -> Iterator[dict[str, Any]]:  # noqa: N803  AWS's name
        assert Name.endswith("/verified")
        if self.denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetParameterHistory")
        for number, value in enumerate(self.history, start=1):
            yield {"Parameters": [{"Version": number, "Value": value, "LastModifiedDate": datetime.now(UTC)}]}

    def delete_parameter(self, *, Name: str) -> None:  # noqa: N803  AWS's name
        self.deleted.append(Name)


@dataclass
class Cloud(pulumi_mocks.Mocks):
    """Answers as AWS and BuildKit would, and keeps what it was asked."""

    digests: Mapping[str, str] | None
    """Each image's digest; None where a preview does not know them."""
    asked: list[Asked] = field(default_factory=list)
    staged: dict[str, set[str]] = field(default_factory=dict)
    """The paths that were staged, by folder."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """Options of the resources, by name."""
    calls: list[str] = field(default_factory=list)
    looked_up: list[Asked] = field(default_factory=list)
    """What was looked up, with the inputs."""
    ecr: "Ecr" = field(default_factory=lambda: Ecr())
    ssm: "Ssm" = field(default_factory=lambda: Ssm())
    warnings: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b", "us-east-1c")
    offers: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"t2.small": ["us-east-1a", "us-east-1b"], "t3.small": ["us-east-1a", "us-east-1c"]}
    )
    """The zones that offer each instance type."""
    host_zone: str | None = None
    """The zone of the host's subnet, if an earlier `up` made it."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """Versions of SSM parameters that were written more than once, by the resources' names."""
    domain_leads_to: Sequence[str] | None = ("203.0.113.7",)
    """The addresses of every domain."""
    refused: Sequence[str] = ()
    """Look-ups that AWS refuses, by their tokens."""
    verified: list[str] = field(default_factory=list)
    """The releases that the host was asked for at the end."""
    left_out: str | None = None
    """The value of the parameter `verified` in the state, if `--target` leaves it out."""
    host_serves: bool = True
    """Whether the host serves the release that it is asked for."""

    def gate(self, **_: object) -> "Cloud":
        """Stand in for the gate, whose host says at once what serves."""
        return self

    def verify(self, text: str) -> None:
        self.verified.append(text)
        if not self.host_serves:
            raise GateError("The host serves another release.")

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.asked.append(Asked(args.typ, args.name, args.inputs))
        resource_id = id_of(args.typ, args.name)
        outputs = {**args.inputs, "arn": arn_of(args.typ, args.name, args.inputs)}
        if args.typ == "aws:ecr/repository:Repository":
            outputs["repositoryUrl"] = f"{REGISTRY}/{args.inputs['name']}"
        if args.typ == "aws:sqs/queue:Queue":
            outputs["url"] = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{args.inputs['name']}"
        if args.typ == "aws:ssm/document:Document":
            outputs["latestVersion"] = "7"
        if args.typ == "aws:ssm/parameter:Parameter":
            outputs["version"] = self.versions.get(args.name, 1)
            if args.name == "verified" and self.left_out:
                outputs["insecureValue"] = self.left_out
        if args.typ == "aws:ec2/eip:Eip":
            outputs |= {"publicIp": "203.0.113.7", "allocationId": resource_id}
        if args.typ == "docker-build:index:Image" and self.digests:
            outputs["digest"] = self.digests[args.name.removesuffix("-image")]
        return resource_id, outputs

    def call(self, args: pulumi_mocks.MockCallArgs) -> dict[str, Any]:
        self.calls.append(args.token)
        self.looked_up.append(Asked(args.token, args.token.rpartition(":")[2], args.args))
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                # An account that opted into a Local Zone, which sorts before the region's own.
                "names": ["us-east-1-atl-1a"] * ("filters" not in args.args) + list(self.zones),
                "zoneIds": ["use1-atl1-az1"] * ("filters" not in args.args)
                + [f"use1-az{number}" for number, _ in enumerate(self.zones, start=1)],
            },
            "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {
                "instanceTypes": [name for name, zones in self.offers.items() for _ in zones],
                "locations": [zone for zones in self.offers.values() for zone in zones],
                "locationTypes": ["availability-zone" for zones in self.offers.values() for _ in zones],
            },
            "aws:ec2/getSubnets:getSubnets": {"ids": ["subnet-0123456789abcdef0"] if self.host_zone else []},
            "aws:ec2/getSubnet:getSubnet": {"availabilityZone": self.host_zone},
            "aws:ssm/getParameter:getParameter": {
                "value": "ami-0123456789abcdef0",
                "insecureValue": "ami-0123456789abcdef0",
            },
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
                "userName": "AWS",
                "password": "a-token-that-nobody-sees",
                "proxyEndpoint": f"https://{REGISTRY}",
            },
        }
        if args.token in self.refused:
            raise Refused
        if args.token == "aws:ecr/getImage:getImage":
            if args.args["imageTag"] not in self.ecr.tags:
                raise Refused
            return {"imageDigest": PINNED, "imageTags": [args.args["imageTag"], "0123456789abcdef0123"]}
        if args.token == "aws:ecr/getRepository:getRepository":
            name = args.args["name"]
            return {
                "repositoryUrl": f"{REGISTRY}/{name}",
                "arn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}",
            }
        return answers[args.token]

    def all(self, kind: str) -> list[Asked]:
        """Every resource of a kind."""
        return [asked for asked in self.asked if asked.type == kind]

    def one(self, kind: str, name: str | None = None) -> Asked:
        """The only resource of a kind, or the one of that name."""
        (found,) = [asked for asked in self.all(kind) if name in (None, asked.name)]
        return found


Run = Callable[..., tuple[Cloud, dict[str, Any]]]
CLOUDS: list[Cloud] = []
"""The clouds of this process's runs, the last one last: what a run that failed had asked for."""
RUNS: dict[str, tuple[Cloud, dict[str, Any]]] = {}
"""The runs of this process, by what they were given."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the program: `run(stack, settings, preview=False)` gives the cloud that was asked, and the outputs.

    `product` is the file of another product. `tags` are the tags that the base's repository has already; `parameters`
    are the stack's, with which AWS answers unless it refuses (`ssm_refusal`), and `history` the values that the
    parameter `verified` had; `zones`, `offers`, `host_zone` and `versions` describe the account, as in `Cloud`. A run
    that was given the same before is not made again, unless it is asked for `anew`, for what a test changed.
    """
    builder = tmp_path / "buildx" / "instances" / Images().builder
    builder.parent.mkdir(parents=True)
    builder.write_text('{"Driver": "docker-container"}')
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))

    def run_once(*arguments: Any, **options: Any) -> tuple[Cloud, dict[str, Any]]:
        """Most tests look at the same run, which takes most of a second."""
        if options.pop("anew", False):
            return run_program(*arguments, **options)
        given = json.dumps([arguments, options], sort_keys=True)
        if given not in RUNS:
            RUNS[given] = run_program(*arguments, **options)
        return RUNS[given]

    def run_program(
        stack: str = "dev",
        values: Mapping[str, Any] | None = None,
        *,
        preview: bool = False,
        tags: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        ssm_refusal: Exception | None = None,
        product: str | None = None,
        history: Sequence[str] = (),
        history_denied: bool = False,
        **account: Any,
    ) -> tuple[Cloud, dict[str, Any]]:
        described = load_product(Path(product)) if product else PRODUCT
        cloud = Cloud(
            digests=None if preview else digests_of(described),
            ecr=Ecr(dict(tags or {})),
            ssm=Ssm(parameters or {}, ssm_refusal, history=history, denied=history_denied),
            **account,
        )
        CLOUDS.append(cloud)
        exported: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", exported.__setitem__)
        settings = settings_of(stack, values, described)
        # Hooks need the engine, which calls them; the mocks know none.
        monkeypatch.setattr(image, "_hooks", lambda *_: None)
        monkeypatch.setattr(host_release, "_hooks", lambda *_: None)
        monkeypatch.setattr(interruptions, "on_update", lambda *_: None)
        monkeypatch.setattr(host_release, "Gate", cloud.gate)

        def staged(files: Sequence[content.ContextFile], folder: Path) -> contextlib.AbstractContextManager[None]:
            cloud.staged[folder.relative_to(ROOT).as_posix()] = {file.path for file in files}
            return contextlib.nullcontext()

        monkeypatch.setattr(staging, "staged", staged)
        monkeypatch.setattr(boto3, "client", lambda service, **_: cloud.ssm if service == "ssm" else cloud.ecr)
        monkeypatch.setattr(domain_name, "addresses_of", lambda _: cloud.domain_leads_to)
        monkeypatch.setattr(pulumi.log, "warn", cloud.warnings.append)
        monkeypatch.setattr(pulumi.log, "info", cloud.said.append)
        asyncio.set_event_loop(asyncio.new_event_loop())
        pulumi_mocks.set_mocks(cloud, project="slipway", stack=stack, preview=preview, monitor=Monitor(cloud))
        loop = asyncio.get_event_loop()
        try:
            loop.run_until_complete(runtime_stack.run_pulumi_func(lambda: program.deploy(settings)))
        except Exception:
            # What a failed run leaves unfinished would be waited for by the next.
            runtime_settings.SETTINGS.outputs.clear()
            raise
        resolved = {name: loop.run_until_complete(_value(output)) for name, output in exported.items()}
        return cloud, resolved

    return run_once


def settings_of(
    stack: str, values: Mapping[str, Any] | None = None, product: Product = PRODUCT
) -> settings_module.Settings:
    """Return a stack's settings: the product's secrets, and what is given; None takes a secret out."""
    given = {**(SECRETS if product.secrets else {}), **(values or {})}
    raw = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items() if value is not None
    }
    return settings_module.load("slipway", stack, raw, ROOT, product=product)


UNKNOWN = "<unknown>"


async def _value(output: Any) -> Any:
    """An output's value; `<unknown>` where a preview does not know it."""
    wrapped = pulumi.Output.from_input(output)
    if not await wrapped.is_known():
        return UNKNOWN
    return await wrapped.future()
