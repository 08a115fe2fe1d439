"""PostgreSQL and Redis as processes of this machine: their folders, their command lines, their questions."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from devcloud.util.processes import output

DATABASE_USER = "slipway"
"""The user, and its password too: these databases are out of reach from elsewhere, and guard nothing."""
DATABASE_OWNER = "postgres"
"""The user of the machine that PostgreSQL runs as where we are root; its Debian package makes it."""
POSTGRES_PORT = 5432
REDIS_PORT = 6379
"""On addresses that are a cloud's alone, so the customary ports are free there."""

STOP_SIGNAL = signal.SIGINT
"""PostgreSQL's fast shutdown: connections are ended, nothing is lost."""


def postgres(programs: Path, data: Path, addresses: Sequence[str]) -> list[str]:
    """The server's command line. `programs` is the folder with postgres and psql, `data` one that `initialise` made."""
    return [
        *_as_database_user(),
        *(str(programs / "postgres"), "-D", str(data)),
        *("-c", f"listen_addresses={','.join(addresses)}", "-c", f"port={POSTGRES_PORT}"),
        *("-c", f"unix_socket_directories={data}"),
    ]


def redis(server: Path, folder: Path, addresses: Sequence[str]) -> list[str]:
    """The server's command line. It keeps nothing."""
    return [
        *(str(server), "--bind", *addresses, "--port", str(REDIS_PORT)),
        *("--dir", str(folder), "--protected-mode", "no", "--save", ""),
    ]


def initialise(programs: Path, folder: Path) -> None:
    """Make the database's folder, where it is not made: whole or not at all, for initdb's first file is there long
    before its last."""
    if folder.exists():
        return
    data = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(data, ignore_errors=True)
    password = folder.with_name("postgres-password")
    password.write_text(DATABASE_USER)
    data.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        shutil.chown(password, DATABASE_OWNER, DATABASE_OWNER)
        shutil.chown(data, DATABASE_OWNER, DATABASE_OWNER)
    output(
        [
            *_as_database_user(),
            *(str(programs / "initdb"), "-D", str(data), "-U", DATABASE_USER),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
        ],
        cwd=Path("/"),
    )
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all 0.0.0.0/0 scram-sha-256\n")  # listens on loopback and the bridge alone
    password.unlink()
    data.rename(folder)


def query(programs: Path, host: str, database: str, statement: str) -> str:
    """What a statement gives, a line a row, with | between columns."""
    psql = [str(programs / "psql"), "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"]
    return output(
        [*psql, "-h", host, "-p", str(POSTGRES_PORT), "-U", DATABASE_USER, "-c", statement, database],
        env={**os.environ, "PGPASSWORD": DATABASE_USER},
    )


def create(programs: Path, host: str, name: str) -> None:
    """Create a database where it is missing."""
    found = query(programs, host, "postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'")  # noqa: S608  our own names
    if not found.strip():
        query(programs, host, "postgres", f'CREATE DATABASE "{name}"')


def drop(programs: Path, host: str, name: str) -> None:
    """Drop a database with all it holds, where there is one."""
    query(programs, host, "postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _as_database_user() -> list[str]:
    """PostgreSQL refuses to run as root: where we are, it runs as the user that its package made.

    That user may not look into root's home, where the cache folder usually is: the one capability to pass through
    folders makes up for it, and gives no right to write.
    """
    if os.geteuid() != 0:
        return []
    capability = "+dac_read_search"
    return [
        *("setpriv", f"--reuid={DATABASE_OWNER}", f"--regid={DATABASE_OWNER}", "--init-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
    ]
