"""PostgreSQL, Redis and a queue for the tests: real ones, of this run alone, on free ports of the loopback."""

import asyncio
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg

ROOT = Path(__file__).resolve().parents[2]
DATABASE_USER = "slipway"
# PostgreSQL refuses to run as root: there it runs as the user that its package made.
OWNER = "postgres"
START_SECONDS = 60.0


class MissingProgram(Exception):  # noqa: N818 - for whoever runs the tests
    """A program that the tests need is not on this machine."""


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once `ready`; an error that names `what` where it takes too long or its process is gone."""
    end = time.monotonic() + START_SECONDS
    while not ready():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} left with {process.returncode} before it was ready.")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready within {START_SECONDS:g} s.")
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether someone listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str, *folders: str) -> Path:
    """Where a program is; MissingProgram, with what to do, where it is nowhere."""
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (folder / name).exists():
                return folder / name
    found = shutil.which(name)
    if found is None:
        raise MissingProgram(f"These tests need `{name}`, which is not on this machine: run `make toolchain` first.")
    return Path(found)


class Process:
    """A server that can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers."""
        return listens(self.port)

    def start(self) -> None:
        """Start it, and return once it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            self.command(), stdout=log, stderr=log, cwd="/", **self.user(), env={"PATH": os.environ["PATH"]}
        )
        log.close()
        wait_for(self.ready, type(self).__name__, self._process)

    def user(self) -> Mapping[str, object]:
        """Whom it runs as, where that is not us."""
        return {}

    def stop(self, how: signal.Signals = signal.SIGINT) -> int | None:
        """End it; its exit status once it is gone."""
        if self._process is None:
            return None
        self._process.send_signal(how)
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status


class Postgres(Process):
    """A PostgreSQL whose data nobody needs to survive: it writes nothing through to the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._postgres = program("postgres", "/usr/lib/postgresql/*/bin")
        self._data = folder / "data"
        if self.user():
            account = pwd.getpwnam(OWNER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        subprocess.run(
            [
                *(str(program("initdb", "/usr/lib/postgresql/*/bin")), "-D", str(self._data), "-U", DATABASE_USER),
                *("--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self.user(),  # type: ignore[call-overload]
        )

    def user(self) -> Mapping[str, object]:
        """The package's user where we are root."""
        if os.geteuid() != 0:
            return {}
        return {"user": OWNER, "group": OWNER, "extra_groups": []}

    def command(self) -> list[str]:
        """PostgreSQL on the loopback alone."""
        settings = (
            *("listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories="),
            *(
                "fsync=off",
                "full_page_writes=off",
                "synchronous_commit=off",
                "max_connections=60",
                "shared_buffers=32MB",
            ),
        )
        return [str(self._postgres), "-D", str(self._data), *(word for one in settings for word in ("-c", one))]

    def url(self, database: str) -> str:
        """DATABASE_URL for one of its databases."""
        return f"postgresql://{DATABASE_USER}@127.0.0.1:{self.port}/{database}"

    def ready(self) -> bool:
        """It listens before it lets anyone in."""
        return listens(self.port) and self._lets_in()

    def _lets_in(self) -> bool:
        async def ask() -> None:
            await (await asyncpg.connect(self.url("postgres"), timeout=2)).close()

        try:
            asyncio.run(ask())
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    async def execute(self, statement: str, database: str = "postgres", *values: object) -> list[asyncpg.Record]:
        """Run one statement, with `values` for its $1, $2, ..."""
        connection = await asyncpg.connect(self.url(database))
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> int | None:
        """At once: what it has not written yet, nobody needs."""
        return super().stop(how)


class Redis(Process):
    """A Redis that keeps nothing."""

    def command(self) -> list[str]:
        """Redis on the loopback alone."""
        return [
            *(str(program("redis-server")), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
        ]

    @property
    def url(self) -> str:
        """REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"


class Service(Process):
    """One of ours, `python -m app`, as a container would run it."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str], code: Path = ROOT) -> None:
        """Take the code of this checkout, or of the folder `code`."""
        super().__init__(folder)
        self._name = name
        self._code = code
        self._environment = {**environment, "SERVICE_TYPE": name, "HOST": "127.0.0.1", "PORT": str(self.port)}

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The image's entrypoint."""
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        return ["env", f"PYTHONPATH={self._code}", *settings, sys.executable, "-m", "app"]

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it logged."""
        return (self.folder / "log").read_text()

    def ready(self) -> bool:
        """Whether it is alive."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310 - the loopback
                return bool(answer.status == 200)
        except OSError:
            return False


def api(database: str, redis_url: str, endpoint: str, queue_url: str, region: str) -> Service:
    """The API over a database, a Redis and a queue."""
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "JOBS_QUEUE_URL": queue_url,
        "AWS_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "CHAT_MODEL": "fake",
    }
    return Service(folder("api"), "api", environment)


def folder(name: str) -> Path:
    """A folder that PostgreSQL's user can reach: below /tmp, and not below a home."""
    return Path(tempfile.mkdtemp(prefix=f"slipway-{name}-", dir="/tmp"))


def sign_in(postgres: Postgres, database: str, email: str, role: str = "user") -> str:
    """A token of a new account, made in the database itself."""
    token = secrets.token_urlsafe(32)
    statement = (
        "WITH account AS (INSERT INTO users (id, email, password_hash, role) "
        "VALUES (gen_random_uuid(), $1, 'none', $2) RETURNING id) "
        "INSERT INTO sessions (token_sha256, user_id, expires_at) "
        "SELECT $3, id, now() + interval '1 hour' FROM account"
    )
    digest = hashlib.sha256(token.encode()).digest()
    asyncio.run(postgres.execute(statement, database.rpartition("/")[2], email, role, digest))
    return token
