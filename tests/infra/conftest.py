"""The whole program, run under Pulumi's mocks: what it asks of the cloud, without a cloud."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import stack as runtime_stack

from infra import program
from infra import settings as settings_module
from infra.components import image
from infra.lib import content
from infra.lib.build_plan import RECIPES

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
DIGESTS = {image: f"sha256:{digit * 64}" for image, digit in zip(RECIPES, "abcd", strict=False)}
SECRETS = {
    "slipway:databaseUrl": "postgresql://slipway:hush@10.20.0.10:5432/slipway",
    "slipway:redisUrl": "redis://10.20.0.10:6379/0",
    "slipway:openaiApiKey": "sk-not-a-key-at-all",
}


@dataclass
class Asked:
    """One resource that the program asked for."""

    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass
class Cloud(pulumi_mocks.Mocks):
    """Answers as AWS and BuildKit would, and keeps what it was asked."""

    digests: Mapping[str, str] | None
    """Each image's digest; None where a preview does not know them."""
    asked: list[Asked] = field(default_factory=list)
    staged: dict[str, set[str]] = field(default_factory=dict)
    """The paths that were staged, by folder."""
    calls: list[str] = field(default_factory=list)

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.asked.append(Asked(args.typ, args.name, args.inputs))
        outputs = {**args.inputs, "arn": f"arn:aws:mock:us-east-1:{ACCOUNT}:{args.name}"}
        if args.typ == "aws:ecr/repository:Repository":
            outputs["repositoryUrl"] = f"{REGISTRY}/{args.inputs['name']}"
        if args.typ == "aws:ssm/parameter:Parameter":
            outputs["arn"] = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter{args.inputs['name']}"
        if args.typ == "aws:sqs/queue:Queue":
            outputs["url"] = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{args.inputs['name']}"
        if args.typ == "aws:ec2/eip:Eip":
            outputs |= {"publicIp": "203.0.113.7", "allocationId": "eipalloc-1"}
        if args.typ == "docker-build:index:Image" and self.digests:
            outputs["digest"] = self.digests[args.name.removesuffix("-image")]
        return f"{args.name}-id", outputs

    def call(self, args: pulumi_mocks.MockCallArgs) -> dict[str, Any]:
        self.calls.append(args.token)
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                "names": ["us-east-1a", "us-east-1b", "us-east-1c"]
            },
            "aws:ssm/getParameter:getParameter": {"value": "ami-1"},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
                "userName": "AWS",
                "password": "a-token-that-nobody-sees",
                "proxyEndpoint": f"https://{REGISTRY}",
            },
        }
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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program: `run(stack, settings, preview=False)` gives the cloud that was asked, and the outputs."""

    def run_program(
        stack: str = "dev", values: Mapping[str, Any] | None = None, *, preview: bool = False
    ) -> tuple[Cloud, dict[str, Any]]:
        cloud = Cloud(digests=None if preview else DIGESTS)
        exported: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", exported.__setitem__)
        settings = settings_of(stack, values)
        # Hooks need the engine, which calls them; the mocks know none.
        monkeypatch.setattr(image, "_hooks", lambda *_: None)

        def stage(files: Sequence[content.ContextFile], folder: Path) -> None:
            cloud.staged[folder.relative_to(ROOT).as_posix()] = {file.path for file in files}

        monkeypatch.setattr(content, "stage", stage)
        asyncio.set_event_loop(asyncio.new_event_loop())
        pulumi_mocks.set_mocks(cloud, project="slipway", stack=stack, preview=preview)
        loop = asyncio.get_event_loop()
        loop.run_until_complete(runtime_stack.run_pulumi_func(lambda: program.deploy(settings)))
        resolved = {name: loop.run_until_complete(_value(output)) for name, output in exported.items()}
        return cloud, resolved

    return run_program


def settings_of(stack: str, values: Mapping[str, Any] | None = None) -> settings_module.Settings:
    """A stack's settings: the secrets, and what is given."""
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (values or {}).items()}
    return settings_module.load("slipway", stack, {**SECRETS, **given}, ROOT)


UNKNOWN = "<unknown>"


async def _value(output: Any) -> Any:
    """An output's value; `<unknown>` where a preview does not know it."""
    wrapped = pulumi.Output.from_input(output)
    if not await wrapped.is_known():
        return UNKNOWN
    return await wrapped.future()
