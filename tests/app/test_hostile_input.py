"""Hostile input gets a 4xx from the running services, and never a 5xx; and they go on."""

import asyncio
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import boto3
import httpx
import pytest

from tests.app import servers

pytestmark = pytest.mark.services

REGION = "us-east-1"
MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}
PANEL = {"patient_reference": "p", "tests": [{"name": "pH", "value": 7.4, "unit": ""}]}


@dataclass
class Target:
    """A running service, its routes that take a body, and a token."""

    process: servers.Service
    posts: tuple[str, ...]
    token: str

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}  # type: ignore[dict-item]
        return httpx.request(method, f"{self.process.url}{path}", headers=headers, timeout=30, **options)  # type: ignore[arg-type]

    def raw(self, request: bytes) -> bytes:
        """The first line of what a socket gets back."""

        async def run() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
            writer.write(request)
            await writer.drain()
            answer = await asyncio.wait_for(reader.readline(), 15)
            writer.close()
            return answer

        return asyncio.run(run())


@pytest.fixture(scope="module")
def api(postgres: servers.Postgres, redis: servers.Redis, module_database: str, sqs: str) -> Iterator[Target]:
    queue = boto3.client("sqs", endpoint_url=sqs, region_name=REGION)
    queue_url = queue.create_queue(QueueName="jobs-of-hostiles")["QueueUrl"]
    process = servers.api(module_database, redis.url, sqs, queue_url, REGION)
    process.start()
    yield Target(process, ("/labs", "/reports"), servers.sign_in(postgres, module_database, "evil@lab.example"))
    assert "nobody caught this" not in process.log
    assert process.stop(signal.SIGTERM) == 0
    shutil.rmtree(process.folder)


@pytest.fixture(scope="module")
def auth(postgres: servers.Postgres, redis: servers.Redis, module_database: str) -> Iterator[Target]:
    settings = {"DATABASE_URL": module_database, "REDIS_URL": redis.url}
    process = servers.Service(servers.folder("auth"), "auth", settings)
    process.start()
    token = servers.sign_in(postgres, module_database, "evil-auth@lab.example")
    yield Target(process, ("/sign-up", "/sign-in"), token)
    assert "nobody caught this" not in process.log
    assert process.stop(signal.SIGTERM) == 0
    shutil.rmtree(process.folder)


@pytest.fixture(params=["api", "auth"])
def target(request: pytest.FixtureRequest) -> Target:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


BODIES = {
    "empty": b"",
    "null": b"null",
    "a number": b"17",
    "a list": b"[]",
    "cut off": b'{"patient_reference": "x',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"tests":' * 20_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "invalid UTF-8": b'{"patient_reference": "\xff\xfe"}',
    "UTF-16": '{"nobody": "asked"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a NUL": b"\x00",
    "half a pair": b'{"patient_reference": "\\ud800", "email": "\\ud800", "password": "\\ud800\\ud800\\ud800\\ud800"}',
    "half a pair as a field": b'{"\\udfff": 1}',
    "a NUL inside": b'{"patient_reference": "a\\u0000b", "body": "a\\u0000b", "email": "a\\u0000@b.example"}',
    "NaN": b'{"patient_reference": NaN, "tests": [{"name": "x", "value": NaN, "unit": ""}]}',
    "Infinity": b'{"patient_reference": "x", "tests": [{"name": "x", "value": Infinity, "unit": ""}]}',
    "beyond a double": b'{"patient_reference": "x", "tests": [{"name": "x", "value": 1e999, "unit": ""}]}',
    "a huge integer": b'{"patient_reference": "x", "tests": [{"name": "x", "value": '
    + b"9" * 4000
    + b', "unit": ""}]}',
    "beyond an integer": b'{"patient_reference": ' + b"9" * 100_000 + b"}",
    "many fields": json.dumps({f"field-{number}": number for number in range(10_000)}).encode(),
    "many tests": json.dumps({**PANEL, "tests": PANEL["tests"] * 5000}).encode(),
    "the same field again": b'{"patient_reference": "a", "patient_reference": 1}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_none_is_refused(target: Target, body: bytes) -> None:
    for path in target.posts:
        answer = target.ask("POST", path, content=body, headers=JSON)
        assert answer.status_code in (400, 413, 422), answer.text[:200]
        assert len(answer.content) < 20_000
        assert answer.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "junk",
        "a/b; c=" + "d" * 5000,
    ],
)
def test_a_body_of_another_kind_is_refused(target: Target, kind: str) -> None:
    for path in target.posts:
        answer = target.ask("POST", path, content=json.dumps(PANEL).encode(), headers={"Content-Type": kind})
        assert answer.status_code in (400, 415, 422)


def test_a_huge_body_is_refused_however_it_comes(target: Target) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(32):
            yield b"x" * (MIB // 16)

    async def chunked(path: str) -> int:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.post(f"{target.process.url}{path}", content=chunks(), headers=JSON)).status_code

    for path in target.posts:
        assert target.ask("POST", path, content=b"x" * (257 * 1024), headers=JSON).status_code == 413
        assert target.ask("POST", path, content=b"x" * 2 * MIB, headers=JSON).status_code == 413
        assert asyncio.run(chunked(path)) == 413
        announced = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n" % path.encode()
        assert target.raw(announced).startswith(b"HTTP/1.1 413 ")


PATHS = [
    "/labs/17",
    "/labs/%00",
    "/labs/..%2f..%2fetc%2fpasswd",
    f"/labs/{uuid4()}%00",
    "/labs/" + "a" * 10_000,
    "/labs/%ff%fe",
    "/labs/{panel_id}",
    "/reports/' OR 1=1 --",
    f"/jobs/{uuid4()}/x",
    "/labs?limit=0",
    "/labs?limit=-9223372036854775809",
    "/labs?limit=99999999999999999999999999",
    "/labs?limit=1e3",
    "/labs?limit=%00",
    "/labs?cursor=",
    "/labs?cursor=%00",
    "/labs?cursor=" + "A" * 199,
    "/labs?cursor=" + "A" * 10_000,
    "/labs?cursor=MjAyNi0xMS0yNVQwODozMDowMCA0MjAx",
    "/labs?cursor=%ff",
    "/jobs?status=exploded",
    "/trends?test_name=%00",
    "/trends?category=%0a",
    "/trends?test_name=" + "x" * 201,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_an_address_that_leads_nowhere_is_refused(api: Target, path: str) -> None:
    answer = api.ask("GET", path)
    assert answer.status_code in (400, 404, 422), answer.text[:200]
    assert answer.json()["detail"]


TOKENS = [b"", b"Bearer", b"Bearer x", b"Bearer " + b"A" * 43, b"Bearer " + b"A" * 30_000, b"Basic YTpi"]
TOKENS += [b"Bearer \xff\xfe\xe4", b"Bearer A B C", b"bearer\tx", b"Bearer ' OR 1=1 --", b"\xf0\x9f\x90\x8e"]


@pytest.mark.parametrize("value", TOKENS, ids=lambda value: repr(value[:20]))
def test_a_token_that_is_none_is_a_401(target: Target, value: bytes) -> None:
    path = "/me" if "/sign-in" in target.posts else "/labs"
    answer = httpx.get(f"{target.process.url}{path}", headers=[(b"Authorization", value)], timeout=30)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


KEYS = [b"", b"k" * 129, b"k" * 30_000, b"\xff\xfe", b"a b", b"\xc3\xa4"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key[:20]))
def test_a_key_that_is_none_is_refused(api: Target, key: bytes) -> None:
    headers = [(b"Authorization", f"Bearer {api.token}".encode()), (b"Idempotency-Key", key)]
    answer = httpx.post(f"{api.process.url}/labs", json=PANEL, headers=headers, timeout=30)
    assert answer.status_code == 422


def test_strange_request_ids_do_not_come_back(target: Target) -> None:
    for value in (b"x" * 5000, b"\xff\xfe", b"a,b", b'{"a":1}', b"<script>"):
        answer = httpx.get(f"{target.process.url}/health", headers=[(b"X-Request-Id", value)], timeout=30)
        assert answer.status_code == 200
        assert len(answer.headers["x-request-id"]) == 32


RAW = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an endless header": b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "two lengths": b"POST /labs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a length below nothing": b"POST /labs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a chunk of no size": b"POST /labs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a method of its own": b"<?php HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("request_", RAW.values(), ids=RAW)
def test_what_is_no_request_is_a_400(target: Target, request_: bytes) -> None:
    answer = target.raw(request_)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer


def test_methods_that_a_route_does_not_know_are_refused(target: Target) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW"):
        assert target.ask(method, target.posts[0]).status_code == 405


def test_they_still_answer(target: Target) -> None:
    assert target.ask("GET", "/health").status_code == 200
    assert target.ask("GET", "/ready").status_code == 200
