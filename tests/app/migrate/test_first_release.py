"""The code of v0.1.0 on today's schema: migrations only add, so a rollback as far as that still works.

Its image is that code in the same packages; its services are asked what its host asked of them.
"""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.app import servers
from tests.app.conftest import REGION

pytestmark = pytest.mark.services

V0_1_0 = "7e22800"
PROBES = {
    "auth": {"/health": 200, "/ready": 200, "/me": 401},
    "api": {"/health": 200, "/ready": 200, "/labs": 401, "/trends": 401},
    "dashboard": {"/health": 200, "/ready": 200, "/dashboard/sign-in": 200},
}
PANEL = {"patient_reference": "p-1", "tests": [{"name": "HbA1c", "value": 6.1, "unit": "%"}]}

Start = Callable[[str], servers.Service]


@pytest.fixture(scope="module")
def code() -> Iterator[Path]:
    """Yield a folder with the product's code as it was."""
    archive = subprocess.run(["git", "archive", V0_1_0, "app"], cwd=servers.ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"this clone has no commit {V0_1_0}: {archive.stderr.decode().strip()}")
    folder = servers.folder("first")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(code: Path, database: str, redis: servers.Redis, queue_url: str, sqs: str) -> Iterator[Start]:
    """Start one of its services on a database with today's schema, by `start(name)`."""
    started: list[servers.Service] = []

    def start_service(name: str) -> servers.Service:
        environment = {
            "DATABASE_URL": database,
            "REDIS_URL": redis.url,
            "JOBS_QUEUE_URL": queue_url,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": sqs,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "CHAT_MODEL": "fake",
        }
        service = servers.Service(servers.folder(name), name, environment, code)
        started.append(service)
        service.start()
        return service

    yield start_service
    for service in started:
        service.stop()
        shutil.rmtree(service.folder)


@pytest.mark.parametrize("name", PROBES)
def test_a_service_passes_its_probes(start: Start, name: str) -> None:
    address = start(name).url
    answers = {path: httpx.get(f"{address}{path}", timeout=10, trust_env=False).status_code for path in PROBES[name]}
    assert answers == PROBES[name]


def test_an_account_signs_up_and_its_panel_is_kept(start: Start) -> None:
    auth, api = start("auth").url, start("api").url
    account = {"email": "ann@example.com", "password": "a long pass phrase"}
    signed_up = httpx.post(f"{auth}/sign-up", json=account, timeout=10, trust_env=False)
    assert signed_up.status_code == 201, signed_up.text
    signed_in = httpx.post(f"{auth}/sign-in", json=account, timeout=10, trust_env=False)
    token = {"Authorization": f"Bearer {signed_in.json()['token']}"}
    with httpx.Client(base_url=api, headers=token, timeout=10, trust_env=False) as client:
        posted = client.post("/labs", json=PANEL)
        assert posted.status_code == 202, posted.text
        assert client.get(f"/labs/{posted.json()['id']}").json()["patient_reference"] == "p-1"
