"""A release of the API either serves and was verified, or what served before never stopped and `up` says why.

One story under constant load: good releases, releases that must be refused, and an `up` that is killed. A part of what
docs/reliability.md says; cases that take long are in `make soak`.
"""

import json
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cloud import isolation, load
from tests.cloud.conftest import Checkout, Done, descendants

pytestmark = pytest.mark.cloud

READY_SECONDS = 45
MARGIN_SECONDS = 30
CODE_TO_SERVING_SECONDS = 3 * 45
UNCHANGED_SECONDS = 3 * 10
"""Both are three times the bar: `make soak` measures, on a machine that does nothing else."""
LEAST_REQUESTS_A_SECOND = 20
"""The load shares the machine with the build, the host and other tests; alone it sends five times as many."""
SERVICE = "app/api/service.py"
MIGRATION = "app/migrations/versions/0004_fails.py"

SPOILT = """

def run(environment: Mapping[str, str]) -> int:
    import os
    import threading
    from fastapi.responses import JSONResponse

    print("this api is spoilt", flush=True)
    app = application(Settings.read(environment))
{code}
    return web.serve(app, environment)
"""
ANSWER = """
    @app.middleware("http")
    async def spoil(request, call_next):
        if request.url.path == "{path}":
            return JSONResponse({{"detail": "spoilt"}}, {status})
        return await call_next(request)
"""
DIE = """
    @app.middleware("http")
    async def spoil(request, call_next):
        answer = await call_next(request)
        if request.url.path == "/ready" and answer.status_code == 200 and threading.active_count() < 50:
            threading.Timer(5, lambda: (print("this api dies", flush=True), os._exit(7))).start()
        return answer
"""
FAILING_MIGRATION = '''"""A step that fails."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Divide by zero."""
    op.execute("SELECT 1 / 0")


def downgrade() -> None:
    """Nothing."""
'''


@dataclass(frozen=True)
class Fault:
    """A release that must be refused: the code that is added to a file, and what `up` must say."""

    file: str
    code: str
    cause: str
    """Expression that the cause matches."""
    log: str
    """Is in the end of the log."""


FAULTS = {
    "exits at once": Fault(
        SERVICE,
        SPOILT.format(code="    return 3"),
        r"failed at `api`: api ended with exit code 3",
        "this api is spoilt",
    ),
    "dies 5 s after it was ready": Fault(
        SERVICE,
        SPOILT.format(code=DIE),
        r"failed at `\w+`: api ended with exit code 7",
        "this api dies",
    ),
    "500 on a probe": Fault(
        SERVICE,
        SPOILT.format(code=ANSWER.format(path="/labs", status=500)),
        r"failed at `api`: The probe GET /labs of api answered 500: .*, but product\.yaml expects 401",
        "this api is spoilt",
    ),
    "eats its memory": Fault(
        SERVICE,
        SPOILT.format(code="    eaten = [b'x' * 2**20 + bytes([n % 256]) for n in range(2000)]"),
        r"failed at `api`: api needed more than its 224 MiB of memory and was killed",
        "this api is spoilt",
    ),
    "migration fails": Fault(
        MIGRATION,
        FAILING_MIGRATION,
        r"failed at `migrate`: migrate ended with exit code 1",
        "division by zero",
    ),
    "other port": Fault(
        SERVICE,
        SPOILT.format(code='    environment = {**environment, "PORT": "8100"}'),
        r"failed at `api`: api was not ready within 45 s: nothing listens on its port 8000 \(it listens on 8100\)",
        "this api is spoilt",
    ),
    "never ready": Fault(
        SERVICE,
        SPOILT.format(code=ANSWER.format(path="/ready", status=503)),
        r"failed at `api`: api was not ready within 45 s: GET /ready answered 503: .*spoilt",
        "this api is spoilt",
    ),
}

SLOW = ("never ready", "other port", "dies 5 s after it was ready", "500 on a probe")
"""Left to `make soak`: the first two take the whole of READY_SECONDS."""


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
    def containers(self) -> str:
        """The containers of the host, each with its id and the time that it was started at."""
        instance = f"{self.checkout.cloud.network}-{self.outputs['apiInstanceId']}"
        listed = self.checkout.docker("exec", instance, "docker", "ps", "--quiet").said.split()
        form = "{{.Name}} {{.Id}} {{.State.StartedAt}}"
        return self.checkout.docker("exec", instance, "docker", "inspect", "--format", form, *listed).said

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

    def failed(self) -> list[dict[str, Any]]:
        """Return the requests that failed since the load began."""
        return [json.loads(line) for line in self.failures.read_text().splitlines()]


@pytest.fixture(scope="module")
def release(
    checkout: Checkout, first_up: Done, tmp_path_factory: pytest.TempPathFactory, note: Callable[[str], None]
) -> Iterator[Release]:
    """Bring the stack up with the tests' limit, and keep it under load from the first test to the last."""
    checkout.restore()
    host = {"protectData": False, "release": {"readySeconds": READY_SECONDS}}
    checkout.configure({"slipway:host": host})
    checkout.up()
    outputs = checkout.outputs()
    file = tmp_path_factory.mktemp("load") / "failures.jsonl"
    file.touch()
    process = subprocess.Popen([sys.executable, load.__file__, outputs["apiUrl"], file], stdin=subprocess.PIPE)
    yield Release(checkout, outputs, file)
    assert process.poll() is None, "the load has ended by itself"
    process.communicate(timeout=60)
    # The other modules find the stack as the copy was committed.
    checkout.restore()
    checkout.up()
    *failed, summary = [json.loads(line) for line in file.read_text().splitlines()]
    note(f"load: {summary}")
    assert not failed
    assert summary["sent"] / summary["seconds"] > LEAST_REQUESTS_A_SECOND


def test_a_change_of_the_api_and_a_rotated_secret_serve_after_one_up_and_were_verified(
    release: Release, note: Callable[[str], None]
) -> None:
    before, worker, versions = release.serves, release.worker, json.loads(release.parameter)["secrets"]
    release.change()
    key = f"sk-{secrets.token_hex(16)}"
    release.checkout.configure({"slipway:openaiApiKey": key})
    said, seconds = release.up_well()
    wait_for_the_drain(release)
    assert key in release.checkout.on_host("api", "inspect", "--format", "{{json .Config.Env}}", "{}").said
    changed = {name for name, version in json.loads(release.parameter)["secrets"].items() if version != versions[name]}
    assert changed == {"openai-api-key"}
    assert key not in said
    assert list(isolation.leaks(release.checkout, key, "/slipway/local/openai-api-key")) == []
    note(f"release: {seconds:.1f} s from code to serving")
    assert release.serves != before
    assert release.worker == worker
    assert release.failed() == []
    assert seconds < CODE_TO_SERVING_SECONDS


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak) if name in SLOW else name for name in FAULTS]
)
def test_a_bad_release_is_refused(release: Release, name: str, note: Callable[[str], None]) -> None:
    fault, checkout = FAULTS[name], release.checkout
    wait_for_the_drain(release)
    before = release.serves, release.parameter, release.containers, release.worker
    file = checkout.root / fault.file
    kept = file.read_text() if file.exists() else None
    checkout.append(fault.file, fault.code)
    try:
        done, seconds = release.up()
    finally:
        file.unlink() if kept is None else file.write_text(kept)
    note(f"release: {name}: refused after {seconds.all:.1f} s, {seconds.of_host:.1f} s of them at the host")
    assert done.code == 1, done.said
    assert re.search(fault.cause, done.said), done.said
    assert "If a release served before, it still does." in done.said
    end = done.said.rpartition("The end of the log:")[2]
    assert fault.log in end
    assert "Traceback" not in done.said.replace(end, "")
    assert seconds.of_host < 3 * (READY_SECONDS + MARGIN_SECONDS)
    assert (release.serves, release.parameter, release.containers, release.worker) == before
    assert release.failed() == []


def test_a_good_release_goes_through_after_those_that_were_refused(
    release: Release, note: Callable[[str], None]
) -> None:
    before = release.serves
    release.change()
    _, seconds = release.up_well()
    note(f"release: {seconds:.1f} s after those that were refused")
    assert release.serves != before
    assert release.failed() == []


def test_nothing_changed_is_asked_of_the_host_and_quick(release: Release, note: Callable[[str], None]) -> None:
    wait_for_the_drain(release)
    before, asked = release.containers, release.commands
    _, seconds = release.up_well()
    note(f"release: {seconds:.1f} s with nothing changed")
    assert release.containers == before
    assert release.commands - asked == Counter({"slipway verify": 1})
    assert seconds < UNCHANGED_SECONDS


def test_an_up_killed_in_a_release_is_waited_for_and_the_next_release_serves(release: Release) -> None:
    release.change()
    kill_at(release.checkout, r"host +migrate")
    release.change()
    said, _ = release.up_well()
    assert re.search(r"waiting for [0-9a-f]{12}, which is under way", said), said
    assert release.failed() == []


def test_an_up_killed_after_the_turn_and_reverted_code_end_with_what_the_code_says(release: Release) -> None:
    wait_for_the_drain(release)
    before, file = release.serves, release.checkout.root / "app/api/routes.py"
    code = file.read_text()
    release.change()
    kill_at(release.checkout, r"host +watch")
    file.write_text(code)
    release.up_well()
    assert release.serves == before
    assert release.failed() == []


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
        assert any(re.search(line, said) for said in lines(process)), f"`up` ended and never said {line}"
        for pid in [process.pid, *descendants(process.pid)]:
            psutil.Process(pid).kill()


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
