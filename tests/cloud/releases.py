"""Release to the host of a stack under load: by a whole `up`, or by the gate alone; and look at what serves."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.lib.canonical_json import canonical_json
from infra.releases.gate import Gate, GateError, Patience
from infra.releases.run_command import Host
from tests.cloud import load, variants
from tests.cloud.conftest import Checkout, Done, descendants
from tests.cloud.reliability import Report
from tests.cloud.variants import Variant

READY_SECONDS = 45
LEAST_REQUESTS_A_SECOND = 20
"""The load shares the machine with the build, the host and other tests; alone it sends five times as many."""
AGENT_SECONDS, RELEASE_SECONDS = 120, 600
"""How long the gate waits for the host's agent, and for a verdict."""
QUERY = """
import asyncio, asyncpg, os
async def main():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"], server_settings={{"application_name": "reader"}})
    async with connection.transaction():
        for statement in {statements}:
            print(await connection.fetch(statement))
        await asyncio.sleep({seconds})
asyncio.run(main())
"""


@dataclass(frozen=True)
class Seconds:
    """How long an `up` took until it failed, or until the release served and was verified."""

    all: float
    of_host: float
    """Since the host took the release: without the build, which a busy machine makes longer."""


@dataclass
class Release:
    """The stack whose host is released to, under load."""

    checkout: Checkout
    outputs: dict[str, Any]
    failures: Path
    """The load's file."""
    load: subprocess.Popen[bytes]
    report: Report
    outages: list[tuple[float, float]] = field(default_factory=list)
    """Times in which the host itself was stopped on purpose, or what answers."""

    @property
    def serves(self) -> str:
        """The digest of the API that answers at the public address."""
        answer = httpx.get(f"{self.outputs['apiUrl']}/api/health", timeout=10, trust_env=False)
        return str(answer.headers.get("X-Image-Digest"))

    @property
    def parameter(self) -> str:
        """The release that the stack's parameter holds."""
        found = self.checkout.client("ssm").get_parameter(Name=self.outputs["releaseParameter"])
        return str(found["Parameter"]["Value"])

    @property
    def host(self) -> str:
        """The container that is the host."""
        return f"{self.checkout.cloud.network}-{self.outputs['apiInstanceId']}"

    @property
    def containers(self) -> str:
        """The containers of the host, each with its id and the time that it was started at."""
        listed = self.on_host("docker", "ps", "--quiet").split()
        return self.on_host("docker", "inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}", *listed)

    @property
    def untouched(self) -> tuple[object, ...]:
        """All that a refused release must leave as it is."""
        return self.serves, self.parameter, self.containers, self.worker

    @property
    def worker(self) -> list[dict[str, Any]]:
        """The deployments of the worker's service."""
        worker = self.outputs["worker"]
        ecs = self.checkout.client("ecs")
        (service,) = ecs.describe_services(cluster=worker["cluster"], services=[worker["service"]])["services"]
        return [{key: each[key] for key in ("id", "taskDefinition", "createdAt")} for each in service["deployments"]]

    @property
    def commands(self) -> Counter[str]:
        """The commands that the host was sent, counted by their comments."""
        sent = self.checkout.client("ssm").get_paginator("list_command_invocations").paginate()
        return Counter(each["Comment"] for page in sent for each in page["CommandInvocations"])

    def change(self) -> None:
        """Change a line of the API."""
        self.checkout.append("app/api/routes.py", f"# {time.time_ns()}")

    def up(self) -> tuple[Done, Seconds]:
        """Bring the stack up, whatever comes of it."""
        said = []
        started = time.monotonic()
        handed_over = verified = 0.0
        with begin(self.checkout) as process:
            for line in lines(process):
                said.append(line)
                if line.startswith("  host ") and not handed_over:
                    handed_over = time.monotonic()
                # What follows is the smoke test, and no part of the release.
                if line.startswith("resources "):
                    verified = time.monotonic()
        end = verified or time.monotonic()
        return Done(process.returncode, "".join(said)), Seconds(end - started, end - handed_over)

    def up_well(self) -> tuple[str, float]:
        """Bring the stack up; the API of its images must serve then. Return what `up` said, and all its seconds."""
        done, seconds = self.up()
        assert done.code == 0, done.said
        digest = self.checkout.outputs()["digests"]["api"]
        assert self.serves == digest
        assert digest in self.parameter
        return done.said, seconds.all

    def on_host(self, *command: str) -> str:
        """Run a command on the host, which must succeed. Return what it says."""
        done = self.checkout.docker("exec", self.host, *command)
        assert done.code == 0, done.said
        return done.said

    def container_of(self, service: str) -> str:
        """Return the name of the container of a service."""
        names = self.on_host("docker", "ps", "--format", "{{.Names}}").split()
        return next(name for name in names if name.endswith(f"-{service}"))

    def image_of(self, service: str) -> str:
        """Return the reference of the service's image in the parameter."""
        return str(json.loads(self.parameter)["services"][service])

    def variant(self, service: str, variant: Variant | None = None) -> str:
        """Push another image for a service. Return its reference."""
        return variants.push(self.checkout.registry, self.image_of(service), variant or Variant())

    def hand_over(self, text: str, at: str = "", do: Callable[[], object] | None = None) -> tuple[str, float]:
        """Hand a release to the host as the gate of an `up` does, and `do` something once a line matches `at`.

        Return the refusal, empty if the release serves, and the seconds.
        """
        left = [do] if do else []

        def say(line: str) -> None:
            sys.stdout.write(line + "\n")
            if left and re.search(at, line):
                left.pop()()

        client = self.checkout.client
        gate = Gate(
            host=Host(client("ssm"), self.outputs["apiInstanceId"], json.loads(text)["host"]),
            ec2=client("ec2"),
            sts=client("sts"),
            account_id=client("sts").get_caller_identity()["Account"],
            patience=Patience(AGENT_SECONDS, RELEASE_SECONDS),
            say=say,
        )
        begun = time.monotonic()
        try:
            gate.release(text)
        except GateError as error:
            return str(error), time.monotonic() - begun
        finally:
            assert not left, f"no line of the release matched {at}"
        return "", time.monotonic() - begun

    def text(self, **images: str) -> str:
        """Return the release of the parameter with other images."""
        release = json.loads(self.parameter)
        assert images.keys() <= release["services"].keys()
        return canonical_json({**release, "services": {**release["services"], **images}})

    def query(self, *statements: str, seconds: float = 0, detach: bool = False) -> str:
        """Run statements in one transaction of the database, and hold it open for some time."""
        code = QUERY.format(statements=list(statements), seconds=seconds)
        command = ["docker", "exec", *(["--detach"] if detach else []), self.container_of("api")]
        return self.on_host(*command, "/opt/venv/bin/python", "-c", code)

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Stop the host, or what answers, on purpose: requests that fail meanwhile do not count."""
        begun = time.time()
        try:
            yield
        finally:
            self.outages.append((begun, time.time()))

    @contextlib.contextmanager
    def without_load(self) -> Iterator[None]:
        """Let the load rest."""
        with self.outage():
            self.load.send_signal(signal.SIGSTOP)
            try:
                yield
            finally:
                self.load.send_signal(signal.SIGCONT)
                # It first reads which of its connections were closed.
                time.sleep(2)

    def failed(self) -> list[dict[str, Any]]:
        """Return the requests that failed since the load began, but for those of an outage."""
        found = [json.loads(line) for line in self.failures.read_text().splitlines()]
        return [
            line
            for line in found
            if "request" in line and not any(line["began"] < end and line["at"] > begun for begun, end in self.outages)
        ]

    def seconds_until(self, path: str, seconds: float = 60) -> float:
        """Return the seconds until a path answers 200."""
        begun = time.monotonic()
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.outputs['apiUrl']}{path}", timeout=2, trust_env=False).status_code == 200:
                    return time.monotonic() - begun
            assert time.monotonic() - begun < seconds, f"{path} does not answer"
            time.sleep(0.2)


@contextlib.contextmanager
def under_load(checkout: Checkout, report: Report, file: Path, note: Callable[[str], None]) -> Iterator[Release]:
    """Bring the stack up with the tests' limit, and keep it under load; no request may fail."""
    checkout.restore()
    checkout.configure({"slipway:host": {"protectData": False, "release": {"readySeconds": READY_SECONDS}}})
    checkout.up()
    outputs = checkout.outputs()
    file.write_text("")
    process = subprocess.Popen([sys.executable, load.__file__, outputs["apiUrl"], file], stdin=subprocess.PIPE)
    release = Release(checkout, outputs, file, process, report)
    yield release
    assert process.poll() is None, "the load has ended by itself"
    process.communicate(timeout=60)
    # The other modules find the stack as the copy was committed.
    checkout.restore()
    checkout.up()
    summary = json.loads(file.read_text().splitlines()[-1])
    note(f"load: {summary}")
    sent, seconds, posts = summary["sent"], summary["seconds"], summary["idlePosts"]
    failed = release.failed()
    says = f"{sent} requests, {posts} of them POSTs after a pause; {len(failed)} failed"
    report.add(12, "all requests of a run", "0 failed" if not failed else "FAILED", seconds, says)
    assert not failed
    assert sent / seconds > LEAST_REQUESTS_A_SECOND
    assert posts > seconds


def wait_for_the_drain(release: Release) -> None:
    """Wait until the containers of the release before have ended."""
    deadline = time.monotonic() + 120
    names = [line.split()[0] for line in release.containers.splitlines()]
    while len({name.rpartition("-")[2] for name in names}) < len(names):
        assert time.monotonic() < deadline, names
        time.sleep(1)
        names = [line.split()[0] for line in release.containers.splitlines()]


def kill_at(checkout: Checkout, line: str) -> None:
    """Start an `up`, and kill -9 all its processes once it says a line."""
    with begin(checkout) as process:
        wait_for_line(process, line)
        for pid in [process.pid, *descendants(process.pid)]:
            psutil.Process(pid).kill()


def interrupt_at(checkout: Checkout, line: str) -> str:
    """Start an `up`, and press Ctrl-C once it says a line. Return what it said after that."""
    with begin(checkout) as process:
        wait_for_line(process, line)
        process.send_signal(signal.SIGINT)
        said = "".join(lines(process))
    assert process.returncode, said
    return said


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    """Read what an `up` says up to a line."""
    assert any(re.search(line, said) for said in lines(process)), f"`up` ended and never said {line}"


def begin(checkout: Checkout) -> subprocess.Popen[str]:
    """Start an `up`."""
    return subprocess.Popen(
        checkout.call("up"),
        cwd=checkout.root,
        env=checkout.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield the lines of an `up` as it says them; they go to the test's report too."""
    assert process.stdout
    for line in process.stdout:
        sys.stdout.write(line)
        yield line
