"""One emulator for the tests here: a real registry, the AWS API and ECR's registry, a process each."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from devcloud.emulator.operator_key import OperatorKey

from .images import Pusher

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0


@dataclass(frozen=True)
class Emulator:
    """The processes' addresses and logs, and clients of them."""

    aws: str
    other_aws: str
    front: str
    registry: str
    aws_log: Path
    front_log: Path
    operator: OperatorKey

    def client(
        self,
        service: str,
        endpoint: str | None = None,
        region: str = "us-east-1",
        config: Config | None = None,
        role: Mapping[str, str] | None = None,
    ) -> Any:
        """Return a boto3 client with the operator's key, or with the credentials that AWS gave for a role."""
        key = role or {
            "AccessKeyId": self.operator.access_key,
            "SecretAccessKey": self.operator.secret_key,
        }
        defaults = Config(proxies={}, retries={"max_attempts": 0})
        return boto3.client(
            service,
            endpoint_url=endpoint or self.aws,
            region_name=region,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
            config=defaults.merge(config) if config else defaults,
        )

    def post(self, path: str) -> None:
        """Send a request that only the operator may send."""
        self.send("POST", path).raise_for_status()

    def send(self, method: str, path: str, content: object = None) -> httpx.Response:
        """Send a request that the operator signs, with content as JSON."""
        url, body = f"{self.aws}{path}", json.dumps(content).encode() if content is not None else b""
        request = AWSRequest(method, url, data=body)
        SigV4Auth(Credentials(self.operator.access_key, self.operator.secret_key), "moto", "us-east-1").add_auth(
            request
        )
        headers = dict(request.headers.items())
        return httpx.request(method, url, content=body, headers=headers, trust_env=False, timeout=30)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process listens at `host:port`."""
    host, port = address.split(":")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"nothing listens on {address} after {START_SECONDS:.0f} s:\n{log.read_text()}")


def start(folder: Path, processes: list[subprocess.Popen[bytes]], *options: str) -> Emulator:
    """Start a registry, the AWS API on two addresses and ECR's registry, on ports of their own.

    `folder` takes their files; `options` are more ones of the AWS API. What is started is added to `processes`, also
    when the next does not start.
    """
    registry_program = shutil.which("docker-registry")
    assert registry_program, "there is no docker-registry on this machine: apt-get install docker-registry"
    registry, aws, other_aws, front = (f"127.0.0.1:{port}" for port in free_ports(4))
    configuration = folder / "registry.yml"
    configuration.write_text(
        "version: 0.1\n"
        "log: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{registry}', relativeurls: true, secret: test}}\n"
    )
    operator, key_file = OperatorKey.new(), folder / "operator.json"
    key_file.write_text(json.dumps(operator.variables()))
    shared = ("--registry", f"http://{registry}", "--operator", str(key_file))
    python = [sys.executable, "-m"]
    commands = {
        "registry": (registry, [registry_program, "serve", str(configuration)]),
        "aws": (
            aws,
            [
                *(*python, "devcloud.emulator", "--listen", aws, "--listen", other_aws),
                *(*shared, "--registry-address", front, *options),
            ],
        ),
        "front": (
            front,
            [
                *(*python, "devcloud.emulator.registry_proxy", "--listen", front),
                *(*shared, "--aws", f"http://{aws}"),
            ],
        ),
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, (_, command) in commands.items():
        with (folder / f"{name}.log").open("wb") as log:
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT))
    for (name, (address, _)), process in zip(commands.items(), processes[-3:], strict=True):
        wait_for(address, process, folder / f"{name}.log")
    return Emulator(
        aws=f"http://{aws}",
        other_aws=f"http://{other_aws}",
        front=f"http://{front}",
        registry=f"http://{registry}",
        aws_log=folder / "aws.log",
        front_log=folder / "front.log",
        operator=operator,
    )


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[Emulator]:
    """An emulator, stopped at the end."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield start(folder, processes, *options)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator that the tests share."""
    with running(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


def client_of(service: str) -> Any:
    """A fixture: the emulator's client for a service."""

    @pytest.fixture(scope="session")
    def client(emulator: Emulator) -> Any:
        return emulator.client(service)

    return client


budgets = client_of("budgets")
ec2 = client_of("ec2")
ecr = client_of("ecr")
ecs = client_of("ecs")
iam = client_of("iam")
scaling = client_of("application-autoscaling")
sqs = client_of("sqs")
ssm = client_of("ssm")


@pytest.fixture(scope="session")
def token(ecr: Any) -> str:
    """The token that ECR gives."""
    data = ecr.get_authorization_token()["authorizationData"][0]
    return base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")


@pytest.fixture(scope="session")
def pusher(emulator: Emulator, token: str) -> Pusher:
    """A registry client at ECR's registry, logged in with ECR's token."""
    return Pusher(emulator.front, ("AWS", token))


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def repository(ecr: Any, name: str) -> str:
    """A repository with immutable tags."""
    created = ecr.create_repository(repositoryName=f"test/{name}", imageTagMutability="IMMUTABLE")
    return str(created["repository"]["repositoryName"])


@pytest.fixture
def mutable_repository(ecr: Any, name: str) -> str:
    """A repository whose tags may move."""
    created = ecr.create_repository(repositoryName=f"test/{name}-mutable")
    return str(created["repository"]["repositoryName"])
