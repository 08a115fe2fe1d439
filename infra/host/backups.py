"""Dumps of the services' data: made each night or by hand, kept on the data volume, restored from there."""

from __future__ import annotations

import calendar
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.host import data, docker, units, untrusted
from infra.host.graph import Service
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.store import write

FOLDER = data.FOLDER / ".backups"
"""A folder for each dump, called by its time, with a file for each service."""
NAME, TIME = re.compile("[0-9]{8}T[0-9]{6}Z"), "%Y%m%dT%H%M%SZ"
SAVE = 'set -o pipefail; "$@" | dd of="$0" bs=1M conv=fsync status=none'
LOAD = 'exec "$@" < "$0"'
SECONDS = 4 * 3600
"""The limit of one service's dump or restore."""


def backup(host: Host, _: str) -> dict[str, Any]:
    """Make a dump in the background; `backups` tells how it ends."""
    return _start(host, "dump")


def restore(host: Host, argument: str) -> dict[str, Any]:
    """Restore a dump in the background, by default the newest; `backups` tells how it ends."""
    asked = untrusted.json_object(argument)
    if not asked and argument != "{}":
        raise HostError("The argument of `restore` must be a JSON object, in base64.")
    wanted = str(asked.get("dump") or "")
    names = sorted(dumps(host))
    if not names or (wanted and wanted not in names):
        raise HostError(f"The host has no dump {wanted[:40]}; it has {', '.join(names) or 'none'}.")
    write(host.store.root / "restore", wanted or names[-1])
    return {**_start(host, "load"), "dump": wanted or names[-1]}


def backups(host: Host, _: str) -> dict[str, Any]:
    """Return the dumps with their sizes in bytes, whether work is under way, and how the last one ended."""
    return {
        "dumps": dumps(host),
        "now": host.machine.now(),
        "underWay": units.is_running(host, units.BACKUP_UNIT),
        "last": host.store.notes("backup") or None,
    }


def dumps(host: Host) -> dict[str, int]:
    """Return the sizes of the dumps by name; none while the data volume is away."""
    found = host.machine.run(["find", str(FOLDER), "-mindepth", "2", "-type", "f", "-printf", "%P %s\\n"])
    sizes: dict[str, int] = {}
    for path, size in (line.rsplit(" ", 1) for line in found.stdout.splitlines()):
        name = path.partition("/")[0]
        if NAME.fullmatch(name):
            sizes[name] = sizes.get(name, 0) + int(size)
    return sizes


def age_hours(host: Host) -> float:
    """Return the age of the newest dump; of the timer if there is none yet."""
    names = dumps(host)
    if names:
        made: float = calendar.timegm(time.strptime(max(names), TIME))
    else:
        made = (host.store.units / units.BACKUP_TIMER).stat().st_mtime
    return max(0.0, host.machine.now() - made) / 3600


def dump(host: Host) -> None:
    """Dump all services that can be, and remove the oldest dumps. Raises HostError, and then keeps all others."""
    name = time.strftime(TIME, time.gmtime(host.machine.now()))
    with _work(host, "backup", name):
        partial = f"{FOLDER}/partial"
        host.must(["rm", "-rf", partial], "Removing an unfinished dump")
        host.must(["install", "--directory", "--mode=0700", str(FOLDER), partial], "Making the folder of the dump")
        try:
            for service in _services(host):
                command = docker.execute(_container(host, service), service.dump)
                _run(host, [SAVE, f"{partial}/{service.name}", *command], f"Dumping {service.name}")
            host.must(["mv", "--no-target-directory", partial, f"{FOLDER}/{name}"], "Naming the dump")
        except HostError:
            host.machine.run(["rm", "-rf", partial])
            raise
        host.must(["sync", "--file-system", str(FOLDER)], "Writing the dump to the disk")
        for old in sorted(dumps(host))[: -host.graph.backups.keep]:
            host.must(["rm", "-rf", f"{FOLDER}/{old}"], "Removing an old dump")


def load(host: Host) -> None:
    """Restore the dump that `restore` chose, beside the services that use it. Raises HostError."""
    name = (host.store.root / "restore").read_text("utf-8")
    with _work(host, "restore", name):
        for service in _services(host):
            file = f"{FOLDER}/{name}/{service.name}"
            if host.machine.run(["test", "-e", file]).code == 0:
                command = docker.execute(_container(host, service), service.restore, interactive=True)
                _run(host, [LOAD, file, *command], f"Restoring {service.name}")


@contextmanager
def _work(host: Host, work: str, name: str) -> Iterator[None]:
    """Keep releases out, and write down how the work ended. Raises HostError if a release is under way."""
    error = "interrupted"
    # A release that begins now waits for the lock, as this does for one that ends.
    with host.store.lock(wait=True):
        try:
            _refuse_release(host)
            if not data.is_mounted(host):
                raise HostError("The data volume is not mounted, so that there is nothing to dump or to restore.")
            host.say(f"{work} {name} begins")
            yield
            error = ""
            host.say(f"{work} {name} is done")
        except HostError as failure:
            error = failure.cause
            raise
        finally:
            last = {"work": work, "dump": name, "at": host.machine.now(), "error": error}
            write(host.store.root / "backup.json", json.dumps(last))


def _run(host: Host, script: list[str], purpose: str) -> None:
    """Run a script of bash with its arguments. Raises HostError with its first message, which has the cause."""
    done = host.machine.run(["bash", "-c", *script], seconds=SECONDS)
    if done.code != 0:
        raise HostError(f"{purpose} failed: {done.stderr.strip().partition(chr(10))[0][:400] or 'no message'}.")


def _refuse_release(host: Host) -> None:
    if host.store.open_release() is not None:
        raise HostError("A release is under way: try again after it.")


def _start(host: Host, command: str) -> dict[str, Any]:
    """Run a command of this program in a unit of its own: RunCommand ends what takes a minute."""
    if not _services(host):
        raise HostError("No service of the host has a backup: a database elsewhere is backed up there.")
    _refuse_release(host)
    began = host.machine.now()
    unit = ["systemd-run", "--collect", "--unit", units.BACKUP_UNIT]
    done = host.machine.run([*unit, sys.executable, host.program, command])
    if done.code != 0:
        raise HostError(f"A backup or restore is under way, or systemd refused: {docker.last_line(done.stderr)}.")
    return {"state": "started", "at": began}


def _services(host: Host) -> list[Service]:
    return [service for service in host.graph.services.values() if service.dump]


def _container(host: Host, service: Service) -> str:
    current = host.store.current()
    if current is None or service.name not in current.services:
        raise HostError(f"{service.name} does not run yet.")
    return current.services[service.name].container
