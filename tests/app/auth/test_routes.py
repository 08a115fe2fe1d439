"""The auth service, over a real PostgreSQL and Redis."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from app.auth.service import Settings, application
from app.common.limits import Rates
from tests.app import servers

pytestmark = pytest.mark.services

PASSWORD = "correct horse battery staple"
ADA = {"email": "ada@lab.example", "password": PASSWORD}
FREE = Rates("1000/second", "1000/second", "1000/second")


class Auth:
    """The app, a client that keeps its event loop, and the database behind it."""

    def __init__(self, database: str, redis_url: str, rates: Rates | None = FREE) -> None:
        self.loop = asyncio.new_event_loop()
        self.database = database
        settings = Settings(database.replace("postgresql:", "postgresql+asyncpg:"), redis_url)
        self.app: FastAPI = application(settings, rates)
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.loop.run_until_complete(self._lifespan.__aenter__())

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **options: Any) -> httpx.Response:
        return self.loop.run_until_complete(self.asked(method, path, body, token, **options))

    async def asked(
        self, method: str, path: str, body: Any = None, token: str | None = None, host: str = "203.0.113.7"
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(host, 1))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://auth", headers=headers) as client:
            return await client.request(method, path, json=body) if body else await client.request(method, path)

    def together(self, *requests: Any) -> list[httpx.Response]:
        async def gathered() -> list[httpx.Response]:
            return list(await asyncio.gather(*requests))

        return self.loop.run_until_complete(gathered())

    def token(self, email: str = ADA["email"]) -> str:
        account = {"email": email, "password": PASSWORD}
        assert self.ask("POST", "/sign-up", account).status_code == 201
        return str(self.ask("POST", "/sign-in", account).json()["token"])

    def close(self) -> None:
        self.loop.run_until_complete(self._lifespan.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture
def auth(database: str, redis: servers.Redis) -> Iterator[Auth]:
    service = Auth(database, redis.url)
    yield service
    service.close()


@pytest.fixture
def limited(database: str, redis: servers.Redis) -> Iterator[Auth]:
    service = Auth(database, redis.url, Rates("3/minute", "6/minute", "2/minute"))
    asyncio.run(flush(redis.url))
    yield service
    service.close()


async def flush(url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        await client.flushdb()


def test_from_sign_up_to_sign_out(auth: Auth) -> None:
    made = auth.ask("POST", "/sign-up", {**ADA, "email": "Ada@Lab.Example"})
    assert made.status_code == 201
    assert made.json()["email"] == "ada@lab.example"
    assert made.json()["role"] == "user"
    signed = auth.ask("POST", "/sign-in", ADA)
    assert signed.status_code == 200
    assert set(signed.json()) == {"token", "expires_at"}
    token = signed.json()["token"]
    assert auth.ask("GET", "/me", token=token).json() == made.json()
    assert auth.ask("POST", "/sign-out", token=token).status_code == 204
    assert auth.ask("GET", "/me", token=token).status_code == 401
    assert auth.ask("POST", "/sign-out", token=token).status_code == 401


def test_signing_out_ends_one_session_and_no_other(auth: Auth) -> None:
    one, other = auth.token(), auth.ask("POST", "/sign-in", ADA).json()["token"]
    auth.ask("POST", "/sign-out", token=one)
    assert auth.ask("GET", "/me", token=other).status_code == 200


def test_an_address_is_taken_once_however_it_is_written_and_by_however_many_at_once(auth: Auth) -> None:
    spellings = ["ada@lab.example", "ADA@lab.example", "Ada@Lab.Example", "ada@LAB.example"]
    answers = auth.together(*(auth.asked("POST", "/sign-up", {**ADA, "email": spelling}) for spelling in spellings))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


def test_a_wrong_password_and_no_account_are_answered_alike(auth: Auth) -> None:
    auth.token()
    wrong = auth.ask("POST", "/sign-in", {**ADA, "password": "not the password"})
    nobody = auth.ask("POST", "/sign-in", {**ADA, "email": "nobody@lab.example"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()
    # Not even what is too short for a password tells anything.
    assert auth.ask("POST", "/sign-in", {**ADA, "password": "x"}).json() == wrong.json()


def test_a_hash_of_old_parameters_is_made_anew_at_the_next_sign_in(auth: Auth, postgres: servers.Postgres) -> None:
    auth.token()
    name = auth.database.rpartition("/")[2]
    old = PasswordHasher(1, 8, 1).hash(PASSWORD)
    asyncio.run(postgres.execute(f"UPDATE users SET password_hash = '{old}'", name))  # noqa: S608
    assert auth.ask("POST", "/sign-in", ADA).status_code == 200
    (row,) = asyncio.run(postgres.execute("SELECT password_hash FROM users", name))
    assert row["password_hash"] != old
    assert auth.ask("POST", "/sign-in", ADA).status_code == 200


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"email": "ada@lab.example"},
        {**ADA, "role": "operator"},
        {**ADA, "email": "ada"},
        {**ADA, "email": "ada@lab"},
        {**ADA, "email": "ada@lab.example\x00"},
        {**ADA, "email": "ada@lab.example\n"},
        {**ADA, "email": "a d a@lab.example"},
        {**ADA, "email": "@lab.example"},
        {**ADA, "email": f"ada@{'x' * 63}.{'y' * 63}.{'z' * 63}.{'w' * 63}.example"},
        {**ADA, "password": "elevenchars"},
        {**ADA, "password": "x" * 129},
        {**ADA, "password": "aaaaaaaaaaaaaaaa"},
        {**ADA, "password": "ada@lab.example"},
        {**ADA, "password": None},
        {**ADA, "password": 123456789012},
    ],
)
def test_an_account_beyond_the_rules_is_refused_without_repeating_the_password(auth: Auth, account: Any) -> None:
    answer = auth.ask("POST", "/sign-up", account)
    assert answer.status_code == 422
    if isinstance(account.get("password"), str):
        assert account["password"] not in answer.text
    assert auth.ask("POST", "/sign-in", ADA).status_code == 401


def test_nobody_becomes_an_operator_over_http(auth: Auth) -> None:
    token = auth.token()
    assert auth.ask("GET", "/me", token=token).json()["role"] == "user"
    paths = auth.ask("GET", "/openapi.json").json()["paths"]
    assert set(paths) == {"/health", "/ready", "/sign-up", "/sign-in", "/sign-out", "/me"}


def test_wrong_passwords_for_an_account_end_soon_whoever_tries_them(limited: Auth) -> None:
    assert limited.ask("POST", "/sign-up", ADA).status_code == 201
    wrong = {**ADA, "password": "not the password"}
    codes = [limited.ask("POST", "/sign-in", wrong, host=f"198.51.100.{n}").status_code for n in range(4)]
    assert codes == [401, 401, 429, 429]
    answer = limited.ask("POST", "/sign-in", ADA, host="198.51.100.99")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "wait" in answer.json()["detail"]


def test_an_address_may_not_try_many_accounts(limited: Auth) -> None:
    codes = [limited.ask("POST", "/sign-in", {**ADA, "email": f"user{n}@lab.example"}).status_code for n in range(8)]
    assert codes == [401] * 6 + [429] * 2
    assert limited.ask("POST", "/sign-in", {**ADA, "email": "x@lab.example"}, host="198.51.100.1").status_code == 401


def test_an_address_may_not_make_many_accounts(limited: Auth) -> None:
    codes = [limited.ask("POST", "/sign-up", {**ADA, "email": f"user{n}@lab.example"}).status_code for n in range(4)]
    assert codes == [201, 201, 201, 429]


def test_nobody_is_locked_out_by_signing_in(limited: Auth) -> None:
    limited.ask("POST", "/sign-up", ADA)
    hosts = [f"198.51.100.{n}" for n in range(5)]
    assert [limited.ask("POST", "/sign-in", ADA, host=host).status_code for host in hosts] == [200] * 5


def test_without_redis_all_of_it_works(database: str) -> None:
    service = Auth(database, f"redis://127.0.0.1:{servers.free_port()}/0", Rates("3/hour", "60/hour", "2/hour"))
    token = service.token()
    assert service.ask("GET", "/me", token=token).status_code == 200
    ready = service.ask("GET", "/ready")
    assert ready.status_code == 200
    assert ready.json()["cache"]["ok"] is False
    assert service.ask("POST", "/sign-out", token=token).status_code == 204
    assert service.ask("GET", "/me", token=token).status_code == 401
    wrong = {**ADA, "password": "not the password"}
    assert [service.ask("POST", "/sign-in", wrong).status_code for _ in range(3)] == [401, 401, 429]
    service.close()


def test_without_its_database_it_is_alive_and_says_so() -> None:
    nowhere = servers.free_port()
    service = Auth(f"postgresql://u:hunter2@127.0.0.1:{nowhere}/x", f"redis://127.0.0.1:{nowhere}/0")
    assert service.ask("GET", "/health").status_code == 200
    assert service.ask("GET", "/ready").status_code == 503
    for answer in (
        service.ask("POST", "/sign-in", ADA),
        service.ask("POST", "/sign-up", ADA),
        service.ask("GET", "/me", token="A" * 43),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "hunter2" not in answer.text
    service.close()


def test_expired_sessions_are_swept_by_the_running_service(
    database: str, redis: servers.Redis, postgres: servers.Postgres
) -> None:
    first = Auth(database, redis.url)
    first.token()
    first.close()
    name = database.rpartition("/")[2]
    asyncio.run(postgres.execute("UPDATE sessions SET expires_at = now() - interval '1 day'", name))
    second = Auth(database, redis.url)
    second.ask("GET", "/health")

    async def swept() -> None:
        while await postgres.execute("SELECT 1 FROM sessions", name):  # noqa: ASYNC110 - what it waits for knows no events
            await asyncio.sleep(0.05)

    second.loop.run_until_complete(asyncio.wait_for(swept(), 10))
    second.close()


def test_what_is_logged_holds_neither_address_nor_password_nor_token(
    auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="app")
    token = auth.token()
    auth.ask("GET", "/me", token=token)
    auth.ask("POST", "/sign-in", {**ADA, "password": "not the password"})
    said = json.dumps([str(vars(record)) for record in caplog.records if record.name.startswith("app")])
    assert "/sign-in" in said
    for private in (token, PASSWORD, "ada@", "not the password"):
        assert private not in said.replace("'identity'", "")
