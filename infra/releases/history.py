"""The releases of a stack that were verified: the history of its parameter `verified`, of which SSM keeps 100 versions.

A release is known by the images that it runs. One that was rolled back to is there twice.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.lib.canonical_json import canonical_json
from infra.releases import verified
from infra.releases.release import ReleasedImage, ReleaseError

SHOWN = 20
"""Releases that a list shows."""
SHORT_DIGEST = 12


@dataclass(frozen=True)
class VerifiedRelease:
    """The images that served from some time on."""

    images: Mapping[str, ReleasedImage]
    since: datetime

    @property
    def id(self) -> str:
        """Its name for people: it follows from the digests, so that the same images have the same."""
        return id_of(self.images)

    @property
    def when(self) -> str:
        """Return its time for people."""
        return f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def id_of(images: Mapping[str, ReleasedImage]) -> str:
    """Return the name of a release that runs these images."""
    digests = {name: image.digest for name, image in images.items()}
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()[:8]


def read(ssm: Any, name: str) -> list[VerifiedRelease]:
    """Return what the history of the parameter `name` holds, the newest first; `ssm` is boto3's client.

    Versions in a row with the same images are one release: a secret changed, or the host's program.
    """
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=name)
    try:
        versions = [version for page in pages for version in page["Parameters"]]
    except ssm.exceptions.ParameterNotFound:
        return []
    found: list[VerifiedRelease] = []
    for version in sorted(versions, key=lambda version: int(version["Version"])):
        try:
            release = VerifiedRelease(verified.parse(version["Value"]), version["LastModifiedDate"])
        except ReleaseError:
            continue  # another version of Slipway wrote it
        if not found or found[-1].id != release.id:
            found.append(release)
    return found[::-1]


def choose(releases: Sequence[VerifiedRelease], wanted: str, stack: str) -> VerifiedRelease:
    """Return the release with the id `wanted`, or, if that is empty, the one before the release that serves.

    It is the one that served before the present one served for the first time: of A, B, C and a rollback to B, it is
    A and not C, so that a second rollback goes further back. Raises ReleaseError if there is none.
    """
    if not releases:
        raise ReleaseError(f"Nothing was verified in stack {stack} yet: bring it up first.")
    if wanted:
        named = [release for release in releases if release.id == wanted]
        if not named:
            raise ReleaseError(
                f"TO={wanted!r} is no verified release of stack {stack}: `make releases STACK={stack}` lists them."
            )
        return named[0]
    first = max(place for place, release in enumerate(releases) if release.id == releases[0].id)
    if first + 1 == len(releases):
        raise ReleaseError(
            f"Stack {stack} has verified no release before {releases[0].id}, which serves: name one by TO=, of those "
            f"that `make releases STACK={stack}` lists."
        )
    return releases[first + 1]


def lines(releases: Sequence[VerifiedRelease], notes: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each release, the newest first; `notes` has remarks by id, for the newest line with it.

    A `*` marks the digests that the release before did not have.
    """
    left = dict(notes)
    for place, release in enumerate(releases[:SHOWN]):
        before = releases[place + 1].images if place + 1 < len(releases) else None
        images = [
            f"{'*' if before is not None and before.get(name) != image else ' '}{name} {short(image.digest)}"
            for name, image in sorted(release.images.items())
        ]
        remarks = ", ".join(filter(None, ["serves" if place == 0 else "", left.pop(release.id, "")]))
        yield f"{release.id}  {release.when}  {'  '.join(images)}  {remarks}".rstrip()
    if len(releases) > SHOWN:
        yield f"and {len(releases) - SHOWN} older ones"


def short(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:SHORT_DIGEST]
