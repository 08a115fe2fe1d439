"""The commands that the gate and operators send. Each returns one JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from infra.host import deploy, docker, front, secrets, serve, tls, units
from infra.host import release as releases
from infra.host.blot import blot
from infra.host.host import Host
from infra.host.outcome import HostError, clip
from infra.host.untrusted import json_object

RELEASE_ID = re.compile("[0-9a-f]{12}")
FOLLOW_SECONDS = 15.0
POLL_SECONDS = 0.5
LINES_AN_ANSWER, LINE_BYTES = 18, 120
LOG_BYTES = 20_000
"""In JSON: RunCommand keeps 24,000 characters of an answer."""
MAX_LOG_LINES = 500
RESTART_SECONDS, RESTART_PATIENCE = 30, 45
"""A restart's time to stop, and its limit: both within the 60 s after which the SSM document's script is killed."""


def submit(host: Host, text: str) -> dict[str, Any]:
    """Accept a release and carry it out in the background, unless it serves already or another is under way."""
    release = releases.parse(text)
    _check_program(host, release)
    _check_images(host, release)
    units.install(host)
    under_way = host.store.open_release()
    if under_way is not None:
        units.start_release(host)
        if under_way == release.id and not _has_verdict(host, under_way):
            return {"release": release.id, "state": "accepted", "busyWith": None}
        return {"release": release.id, "state": "busy", "busyWith": under_way}
    current = host.store.current()
    if current is not None and current.release.id == release.id and serve.serves(host, current):
        return {"release": release.id, "state": "serving", "busyWith": None}
    if not host.store.open(release, host.program):
        return {"release": release.id, "state": "busy", "busyWith": host.store.open_release()}
    try:
        units.start_release(host)
    except HostError:
        host.store.close()
        raise
    return {"release": release.id, "state": "accepted", "busyWith": None}


def follow(host: Host, argument: str) -> dict[str, Any]:
    """Wait for progress of a release, at most 15 s, and return it."""
    asked = _object(argument, "release", "from")
    release, start = str(asked["release"]), _number(asked, "from")
    if RELEASE_ID.fullmatch(release) is None:
        raise HostError(f"{json.dumps(release[:40])} is no release: its id has 12 hex digits.")
    end = host.machine.now() + FOLLOW_SECONDS
    while True:
        journal = host.store.journal(release)
        if journal is None:
            return {"release": release, "state": "unknown", "lines": [], "next": start, "verdict": None}
        lines = [clip(line, LINE_BYTES) for line in journal.lines[start : start + LINES_AN_ANSWER]]
        entry = journal.last("verdict")
        verdict = entry["verdict"] if entry else None
        # The verdict comes with the last lines, and not before them.
        if start + len(lines) < len(journal.lines):
            verdict = None
        if lines or verdict or host.machine.now() >= end:
            state = "running" if verdict is None else "failed" if verdict["cause"] else "succeeded"
            following = start + len(lines)
            return {"release": release, "state": state, "lines": lines, "next": following, "verdict": verdict}
        host.machine.sleep(POLL_SECONDS)


def verify(host: Host, text: str) -> dict[str, Any]:
    """Ask through the host's own public port whether a release serves."""
    release = releases.parse(text)
    current = host.store.current()
    expected = {name: releases.digest_of(image) for name, image in release.images.items()}
    seen = front.look(host, front.public(host, current), expected)
    problem = seen.problem
    if problem is None and (current is None or current.release.id != release.id):
        problem = "The host runs another release, whose services that answer have the same images."
    if not host.graph.visible:
        problem = None if current and current.release.id == release.id else "The host runs another release."
    state = "serving" if problem is None else "other" if seen.reachable else "down"
    return {
        "state": state,
        "serves": dict(seen.digests),
        "release": current.release.id if current else None,
        "problem": problem,
        "certificate": tls.problem(host, current),
    }


def status(host: Host) -> dict[str, Any]:
    """Return the release that serves, its containers, and the release that is under way."""
    current, under_way = host.store.current(), host.store.open_release()
    states = host.states(current.containers) if current else {}
    memory = _memory(host, [name for name, state in states.items() if state.running])
    services = {}
    for name, placed in (current.services if current else {}).items():
        state = states.get(placed.container)
        services[name] = {
            "container": placed.container,
            "digest": releases.digest_of(placed.image)[:19],
            "running": bool(state and state.running),
            "restarts": state.restarts if state else 0,
            "memory": memory.get(placed.container),
            "memoryMib": placed.memory_mib,
        }
    journal = host.store.journal(under_way) if under_way else None
    return {
        "release": current.release.id if current else None,
        "since": current.since if current else None,
        "underWay": under_way,
        "step": journal.step if journal else None,
        "kept": [generation.release.id for generation in host.store.kept()],
        "freeMemoryMib": host.machine.free_memory_mib(),
        "services": services,
    }


def _memory(host: Host, containers: Sequence[str]) -> dict[str, str]:
    """Return the memory that containers use, as Docker writes it; less than all if one ends meanwhile."""
    if not containers:
        return {}
    lines = [line.split() for line in host.run_docker(docker.memory(containers)).stdout.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def logs(host: Host, argument: str) -> dict[str, Any]:
    """Return the end of a service's log."""
    asked = _object(argument, "service")
    container = _container(host, str(asked["service"]))
    lines = min(_number({"lines": 50, **asked}, "lines"), MAX_LOG_LINES)
    done = host.run_docker(docker.logs(container, lines))
    text = blot(done.stdout + done.stderr, secrets.in_use(host))
    text = clip(text[::-1], LOG_BYTES)[::-1]
    return {"service": asked["service"], "container": container, "log": text}


def restart(host: Host, argument: str) -> dict[str, Any]:
    """Restart a service's container; its requests fail until it is back, and those of over 30 s are cut off."""
    service = str(_object(argument, "service")["service"])
    with host.store.lock(wait=False) as free:
        if not free:
            raise HostError(
                f"{service} was not restarted, because a release or a backup is under way: try again after it."
            )
        container = _container(host, service)
        seconds = min(round(host.graph.seconds.request), RESTART_SECONDS)
        host.must(docker.restart(container, seconds), f"Restarting {service}", seconds=RESTART_PATIENCE)
    return {"service": service, "container": container, "state": "restarted"}


def resume(host: Host) -> None:
    """Carry out the open release, or what is left of it."""
    with host.store.lock(wait=True):
        # While this one waited, another program may have accepted a release: its own unit carries that out.
        if host.store.open_program() in (None, host.program):
            deploy.carry_on(host)


def _check_program(host: Host, release: releases.Release) -> None:
    """Raise HostError if a release needs another program than this one, with another graph.

    AWS may refuse content that an earlier version of the document has, so that the latest holds another program.
    """
    document, own = host.graph.document, host.program_name
    if release.program != own:
        raise HostError(
            f"The release needs the host's program {release.program}, but version {release.host_version} of the SSM "
            f"document {document} holds {own}: delete the document (`aws ssm delete-document --name {document}`) and "
            "run `pulumi up --refresh`, which makes it again."
        )


def _check_images(host: Host, release: releases.Release) -> None:
    """Raise HostError if a release names an image that is not the stack's: whoever may release may not run anything."""
    for name, image in sorted(release.images.items()):
        known = host.graph.services.get(name)
        if known is not None and image != known.image and not image.startswith(f"{known.image}@"):
            raise HostError(
                f"The release names {image[:200]} for {name}, whose images come from {known.image}: run `pulumi up`, "
                "which names those."
            )


def _has_verdict(host: Host, release: str) -> bool:
    journal = host.store.journal(release)
    return journal is not None and journal.has("verdict")


def _object(argument: str, *keys: str) -> dict[str, Any]:
    """Return the JSON object of an argument, which must have these keys. Raises HostError."""
    asked = json_object(argument)
    if not asked.keys() >= set(keys):
        raise HostError(f"The argument of the command must be a JSON object with {' and '.join(keys)}, in base64.")
    return asked


def _number(asked: dict[str, Any], key: str) -> int:
    """Return a value of an argument that must be a whole number from 0 on. Raises HostError."""
    value = asked[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise HostError(f"{key} is {json.dumps(value)[:40]}: it must be a whole number from 0 on.")
    return value


def _container(host: Host, service: str) -> str:
    current = host.store.current()
    names = sorted(current.services) if current else []
    if current is None or service not in current.services:
        raise HostError(f"There is no service {service} on the host; there are {', '.join(names) or 'none'}.")
    return current.services[service].container
