"""Judge the answers of containers: ready, well, and of the right image. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.host.untrusted import json_object

DIGEST_HEADER = "x-image-digest"
BODY_CHARACTERS = 300


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: str

    @property
    def brief(self) -> str:
        """The status and the start of the body, on one line."""
        body = " ".join(self.body.split())[:BODY_CHARACTERS]
        return f"{self.status}: {body}" if body else str(self.status)


def failing(answer: Answer) -> frozenset[str] | None:
    """Return the checks that /ready reports as failing; None if it does not report checks.

    The body is `{"database": {"ok": true}, ...}`; checks may also be one level deeper.
    """
    body = json_object(answer.body)
    groups = [body, *(value for value in body.values() if isinstance(value, dict))]
    checks = {
        name: value["ok"]
        for group in groups
        for name, value in group.items()
        if isinstance(value, dict) and isinstance(value.get("ok"), bool)
    }
    return frozenset(name for name, ok in checks.items() if not ok) if checks else None


def ready(answer: Answer, old: Answer | None) -> bool:
    """Return True if a container is ready, or fails only in what the container that serves today fails in.

    A queue that is away must not stop the release that mends it.
    """
    if answer.status == 200:
        return True
    if old is None or old.status == 200:
        return False
    new_failing, old_failing = failing(answer), failing(old)
    return bool(new_failing and old_failing and new_failing <= old_failing)


def wrong_digest(answer: Answer, digest: str) -> str | None:
    """Return what is wrong with an answer of /health that should come from an image; None if nothing is."""
    if answer.status != 200:
        return f"answered {answer.brief}"
    found = answer.headers.get(DIGEST_HEADER)
    if found is None:
        return "answered without the header X-Image-Digest"
    if found != digest:
        return f"is served by another image ({found[:19]}, not {digest[:19]})"
    return None


def listening_ports(table: str) -> frozenset[int]:
    """Return the TCP ports that are listened on, given the kernel's table (/proc/<pid>/net/tcp)."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == "0A")
