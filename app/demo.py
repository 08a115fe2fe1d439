"""Make accounts to try the product with, under `make dev`: `python -m app.demo http://127.0.0.1:8080 FOLDER`.

An operator's and a user's, with random passwords that are made once and kept in FOLDER. The database's address is in
the environment, as for a service.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from app.auth.operators import set_role
from app.common import database
from app.common.environment import SettingError, database_url
from app.common.tables import OPERATOR, USER


class DemoError(Exception):
    """An account cannot be had; the message is one sentence."""


@dataclass(frozen=True)
class DemoUser:
    """An account to try the product with."""

    email: str
    role: str
    password: str


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Make the accounts, tell of them, and return the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m app.demo ADDRESS FOLDER\n")
        return 2
    address, folder = arguments[0].rstrip("/"), Path(arguments[1])
    try:
        url = database_url("asyncpg", environment)
        users = read_users(folder / "accounts.json")
        with httpx.Client(base_url=f"{address}/auth", timeout=10, trust_env=False) as auth:
            for user in users:
                sign_up(auth, user)
        for user in users:
            if user.role == OPERATOR:
                asyncio.run(set_role(url, user.email, OPERATOR))
    except (DemoError, SettingError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except database.FAILURES as error:
        sys.stderr.write(f"The operator's role was not given: {database.brief(error)}\n")
        return 1
    say("docs", "/docs at the address of the API by itself")
    for user in users:
        say(user.role, f"{user.email}  {user.password}")
    return 0


def read_users(file: Path) -> list[DemoUser]:
    """Return the accounts of a file that only its owner can read; make it if it is missing."""
    if not file.exists():
        made = [DemoUser(f"{role}@example.com", role, secrets.token_urlsafe(12)) for role in (OPERATOR, USER)]
        draft = file.with_suffix(".draft")
        draft.touch(0o600)
        draft.write_text(json.dumps([asdict(user) for user in made], indent=1))
        draft.replace(file)
    return [DemoUser(**entry) for entry in json.loads(file.read_text())]


def sign_up(auth: httpx.Client, user: DemoUser) -> None:
    """Make an account, unless it is there with this password. Raises DemoError if it has another one."""
    credentials = {"email": user.email, "password": user.password}
    made = auth.post("/sign-up", json=credentials)
    if made.status_code == httpx.codes.CREATED:
        return
    if made.status_code != httpx.codes.CONFLICT:
        raise DemoError(f"Auth refused to sign {user.email} up ({made.status_code}).")
    if auth.post("/sign-in", json=credentials).status_code != httpx.codes.OK:
        raise DemoError(
            f"The database has an account {user.email} with another password: run `make dev ARGS=--fresh`, which "
            "empties it."
        )


def say(what: str, text: str) -> None:
    """Print a line, aligned as those of `make dev`."""
    sys.stdout.write(f"  {what:<11} {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
