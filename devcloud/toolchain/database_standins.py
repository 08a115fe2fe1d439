"""Stand-ins for the databases that a stack's host runs from outside, where Docker Hub cannot be reached.

Debian's PostgreSQL and Redis, in one layer, with what a container of Docker's official images relies on: the user 999,
the folder of the data, an entrypoint that makes the database from the environment, the signal for a stop.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from devcloud.toolchain import debian
from devcloud.toolchain.standins import SUITE, StandIn, bootstrap, docker_hub_reachable, have, publish, strip
from devcloud.toolchain.work import Report, Work

LAYOUT = 1
"""Counts the ways in which the stand-ins were ever made: new ones are made if it rises."""
MAJOR = "15"
"""The PostgreSQL of the suite."""
PACKAGES = (f"postgresql-{MAJOR}", "redis-server", "netbase", "tzdata")
POSTGRES_FOLDER = f"usr/lib/postgresql/{MAJOR}"
DATA = "/var/lib/postgresql/data"
ORIGIN = f"Debian {SUITE}'s packages"
UNNEEDED = (
    *("usr/lib/llvm-14", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl", "usr/share/postgresql-common"),
    *(f"{POSTGRES_FOLDER}/lib/bitcode", f"etc/postgresql/{MAJOR}", f"var/lib/postgresql/{MAJOR}", "var/lib/redis"),
)
JIT = ("usr/lib/*/libLLVM*", f"{POSTGRES_FOLDER}/lib/llvmjit*")
"""The compiler of queries, of 120 MB: PostgreSQL goes on without it if its library is missing."""
ENTRYPOINT = """#!/bin/sh
# Make the database at the first start, from the variables that Docker's official image has, and run the command.
set -eu
case "${1:-}" in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?must be set for a new database}"
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" || :
  umask 077
  printf '%s\\n' "$POSTGRES_PASSWORD" >/tmp/password
  initdb --username="$user" --pwfile=/tmp/password
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  if [ "$database" != postgres ]; then
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
    createdb --username="$user" "$database"
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  fi
fi
exec "$@"
"""


def ensure(cache: Path, report: Report) -> tuple[StandIn, ...]:
    """Return the stand-ins, each made if it is missing. Raise UserError if that fails."""
    folder = _folder(cache)

    def make(draft: Path, work: Work) -> None:
        debian.install(["debootstrap"], cache, work)
        bootstrap(draft / "root", PACKAGES, work)
        _lay_out(draft / "root")

    both = StandIn("PostgreSQL and Redis", ORIGIN, folder, _archives(cache), "postgres")
    have(both, make, report)
    return of(cache)


def of(cache: Path) -> tuple[StandIn, ...]:
    """Return the stand-ins, whether or not their archive is there."""
    folder, archives = _folder(cache), _archives(cache)
    postgres = (
        f'ENV PGDATA={DATA} PG_MAJOR={MAJOR}\nVOLUME {DATA}\nENTRYPOINT ["docker-entrypoint.sh"]\nSTOPSIGNAL SIGINT\n'
        "EXPOSE 5432\n"
    )
    redis = "VOLUME /data\nWORKDIR /data\nEXPOSE 6379\n"
    return (
        StandIn(f"postgres:{MAJOR}-{SUITE}", ORIGIN, folder / "postgres", archives, "postgres", postgres),
        StandIn(f"redis:7.0-{SUITE}", ORIGIN, folder / "redis", archives, "redis-server", redis),
    )


def take_their_place(cache: Path, buildctl: Path, buildkit_address: str, registry: str, report: Report) -> None:
    """Have the stand-ins in a registry (`host:port`) where Docker Hub is out of reach."""
    if not docker_hub_reachable():
        for standin in ensure(cache, report):
            publish(buildctl, buildkit_address, registry, standin, report)


def published(cache: Path, registry: str) -> Mapping[str, str]:
    """Return the references of the stand-ins that a registry has, without it, by the name of the official image."""
    found = {}
    for standin in of(cache):
        if digest := standin.digest_in(registry):
            found[standin.name.partition(":")[0]] = f"library/{standin.name}@{digest}"
    return found


def _folder(cache: Path) -> Path:
    return cache / "standins" / f"databases-{SUITE}-{LAYOUT}"


def _archives(cache: Path) -> tuple[Path, ...]:
    return (_folder(cache) / "databases.tar",)


def _lay_out(root: Path) -> None:
    """Make it look like the official images, with nothing that is unneeded."""
    strip(root)
    for name in UNNEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
    for file in [file for pattern in JIT for file in root.glob(pattern)]:
        file.unlink()
    for name, mark in (("passwd", "x:999:999::/var/lib/postgresql:/bin/sh"), ("group", "x:999:")):
        path = root / "etc" / name
        others = [
            line for line in path.read_text().splitlines() if not re.match(r"(postgres|redis|[^:]*:x:999):", line)
        ]
        path.write_text("\n".join([*others, f"postgres:{mark}"]) + "\n")
    for program in (root / POSTGRES_FOLDER / "bin").iterdir():
        link = root / "usr/local/bin" / program.name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/{POSTGRES_FOLDER}/bin/{program.name}")
    # As in the official image: a server in a container is for others.
    sample = root / "usr/share/postgresql" / MAJOR / "postgresql.conf.sample"
    sample.write_text(re.sub(r"#listen_addresses = 'localhost'", "listen_addresses = '*'", sample.read_text()))
    entrypoint = root / "usr/local/bin/docker-entrypoint.sh"
    entrypoint.write_text(ENTRYPOINT)
    entrypoint.chmod(0o755)
    # Not below var/run, which is a link out of the folder.
    for name in (DATA.lstrip("/"), "run/postgresql", "data"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
