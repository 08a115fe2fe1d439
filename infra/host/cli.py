"""Read the command line of the packed program, and print one JSON object."""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.host import backups, boot, commands, graph, updates
from infra.host.aws import METADATA, Client
from infra.host.host import Host
from infra.host.machine import Linux
from infra.host.outcome import HostError
from infra.host.store import Store

WITH_ARGUMENT: dict[str, Callable[[Host, str], dict[str, Any]]] = {
    "submit": commands.submit,
    "follow": commands.follow,
    "verify": commands.verify,
    "logs": commands.logs,
    "restart": commands.restart,
    "backup": backups.backup,
    "backups": backups.backups,
    "restore": backups.restore,
}
PUBLIC = tuple(sorted([*WITH_ARGUMENT, "status"]))
"""The commands that RunCommand may send: the SSM document, which names them too, refuses any other."""
INTERNAL: dict[str, Callable[[Host], None]] = {
    "resume": commands.resume,
    "boot": boot.boot,
    "tend": boot.tend,
    "update": updates.update,
    "dump": backups.dump,
    "load": backups.load,
}
"""The commands that units of systemd run: they report by their exit code, so that systemd starts them again."""


def real_host() -> Host:
    """Return the machine that this program runs on."""
    known = graph.packed()
    client = Client(
        known.region,
        os.environ.get("AWS_ENDPOINT_URL"),
        os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA),
    )
    store = Store()
    store.prepare()
    return Host(known, str(Path(sys.argv[0]).resolve()), store, Linux(), client)


def run(host: Host, arguments: Sequence[str]) -> tuple[int, dict[str, Any] | None]:
    """Run a command; return the exit code and the object to print, if the command has one."""
    name, argument = arguments[0] if arguments else "", arguments[1] if len(arguments) > 1 else ""
    try:
        if name in INTERNAL:
            INTERNAL[name](host)
            return 0, None
        if name == "status":
            return 0, commands.status(host)
        if name in WITH_ARGUMENT:
            return 0, WITH_ARGUMENT[name](host, _decoded(argument))
    except HostError as failure:
        if name in INTERNAL:
            host.say(failure.cause)
            return 1, None
        return 1, {"error": failure.cause}
    known = ", ".join(sorted([*PUBLIC, *INTERNAL]))
    return 2, {"error": f"The host's program has no command {json.dumps(name)}; it has {known}."}


def main() -> None:
    """Run the command of the command line."""
    code, answer = run(real_host(), sys.argv[1:])
    if answer is not None:
        sys.stdout.write(json.dumps(answer) + "\n")
    sys.exit(code)


def _decoded(argument: str) -> str:
    """Return the argument's JSON; no argument is an empty object."""
    try:
        return base64.b64decode(argument, validate=True).decode("utf-8") or "{}"
    except (binascii.Error, UnicodeDecodeError):
        raise HostError("The argument of the command is not base64 of UTF-8.") from None
