"""What the running services answer is what their descriptions say (schemathesis), whatever is asked of them."""

import asyncio
import shutil
import signal
from collections.abc import Iterator

import boto3
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app import servers

pytestmark = pytest.mark.services

REGION = "us-east-1"
CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NOTHING_TO_GET_WRONG = ("/health", "/ready", "/me", "/sign-out")
BOUNDED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(postgres: servers.Postgres, redis: servers.Redis, module_database: str, sqs: str) -> Iterator[tuple[str, str]]:
    """The running API's address and a user's token."""
    queue = boto3.client("sqs", endpoint_url=sqs, region_name=REGION)
    queue_url = queue.create_queue(QueueName="jobs-of-conformance")["QueueUrl"]
    process = servers.api(module_database, redis.url, sqs, queue_url, REGION)
    process.start()
    token = servers.sign_in(postgres, module_database, "schema@lab.example")
    headers = {"Authorization": f"Bearer {token}"}
    for path, body in (
        ("/labs", {"patient_reference": "p", "tests": [{"name": "pH", "value": 7.4, "unit": ""}]}),
        ("/reports", {"patient_reference": "p", "body": "pH 7.4"}),
    ):
        httpx.post(f"{process.url}{path}", json=body, headers=headers, timeout=30).raise_for_status()
    yield process.url, token
    process.stop(signal.SIGTERM)
    shutil.rmtree(process.folder)


@pytest.fixture(scope="module")
def auth(postgres: servers.Postgres, redis: servers.Redis, module_database: str) -> Iterator[tuple[str, str]]:
    """The running auth service's address and a user's token."""
    process = servers.Service(servers.folder("auth"), "auth", {"DATABASE_URL": module_database, "REDIS_URL": redis.url})
    process.start()
    yield process.url, servers.sign_in(postgres, module_database, "schema-auth@lab.example")
    process.stop(signal.SIGTERM)
    shutil.rmtree(process.folder)


def ask_everything(address: str, token: str, subtests: pytest.Subtests) -> None:
    """Each operation with requests that are as described, and with some that are not."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and operation.path in NOTHING_TO_GET_WRONG:
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @BOUNDED
            def ask(case: schemathesis.Case) -> None:
                # A sign-out that works would end the session of all that come after.
                bearer = "A" * 43 if case.path == "/sign-out" else token
                # A body is held to its description to the letter; a query parameter too many harms nobody.
                checks = [*CHECKS, negative_data_rejection] if case.method == "POST" else CHECKS
                case.call_and_validate(headers={"Authorization": f"Bearer {bearer}"}, checks=checks, timeout=20)

            with subtests.test(operation=operation.label, mode=mode.value):
                ask()


def test_the_api_answers_as_it_is_described(api: tuple[str, str], subtests: pytest.Subtests) -> None:
    ask_everything(*api, subtests)


def test_what_is_there_is_answered_as_it_is_described(
    api: tuple[str, str], subtests: pytest.Subtests, postgres: servers.Postgres, module_database: str
) -> None:
    """Generated ids lead nowhere; these lead to things that the worker is done with."""
    address, token = api
    name = module_database.rpartition("/")[2]
    for statement in (
        "UPDATE lab_panels SET status = 'done', finished_at = now()",
        "UPDATE lab_tests SET category = 'blood gas', confidence = 0.8",
        "UPDATE reports SET status = 'done', finished_at = now()",
        "INSERT INTO report_entities SELECT id, 0, 0, 2, 'pH', 'blood gas', 0.8, 7.4, NULL FROM reports",
        "INSERT INTO trends SELECT id, 'ph', '', date_trunc('month', now()), NULL, 1, 7.4, 7.4, 7.4, 7.4 FROM users",
    ):
        asyncio.run(postgres.execute(statement, name))
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    for path, parameter in (("/labs", "panel_id"), ("/reports", "report_id"), ("/jobs", "job_id")):
        for item in httpx.get(f"{address}{path}", headers=headers, timeout=30).json()["items"][:3]:
            with subtests.test(path=path):
                case = schema[f"{path}/{{{parameter}}}"]["GET"].Case(path_parameters={parameter: item["id"]})
                assert case.call_and_validate(headers=headers, checks=CHECKS).status_code == 200
    for path in ("/labs", "/reports", "/jobs", "/trends"):
        answer = schema[path]["GET"].Case().call_and_validate(headers=headers, checks=CHECKS)
        assert answer.json()["items"]


def test_the_auth_service_answers_as_it_is_described(auth: tuple[str, str], subtests: pytest.Subtests) -> None:
    ask_everything(*auth, subtests)
