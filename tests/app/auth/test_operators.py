"""Who is an operator is decided on the host."""

import asyncio
import os
import subprocess
import sys

import pytest

from tests.app import servers


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-m", "app.auth.operators", *arguments],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.services
def test_an_account_becomes_an_operator_and_a_user_again(database: str, postgres: servers.Postgres) -> None:
    name = database.rpartition("/")[2]
    account = "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'ada@lab.example', 'none')"
    asyncio.run(postgres.execute(account, name))
    for what, role in (("grant", "operator"), ("revoke", "user")):
        done = run(what, "Ada@Lab.example", DATABASE_URL=database)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"has the role {role} within 30 s" in done.stdout
        (row,) = asyncio.run(postgres.execute("SELECT role FROM users", name))
        assert row["role"] == role


@pytest.mark.services
def test_nobody_is_made_an_operator_who_has_no_account(database: str) -> None:
    done = run("grant", "nobody@lab.example", DATABASE_URL=database)
    assert done.returncode == 1
    assert "There is no account with the address nobody@lab.example" in done.stderr


@pytest.mark.services
def test_a_missing_database_is_one_sentence() -> None:
    assert run("grant", "ada@lab.example").stderr.startswith("DATABASE_URL is not set")
    done = run("grant", "a@b.example", DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{servers.free_port()}/x")
    assert done.returncode == 1
    assert done.stderr.startswith("The role was not changed: ")
    assert "hunter2" not in done.stderr
    assert done.stderr.count("\n") == 1
