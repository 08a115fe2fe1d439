"""The release document, as the host reads it: the image of each service, and the versions of the secrets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra.host.outcome import HostError
from infra.host.untrusted import json_object

SCHEMA = 2
REFERENCE = re.compile(r"[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Release:
    """The images and secrets that the host is to run."""

    text: str
    program: str
    """Name of the host's program that knows the graph of its services."""
    host_version: str
    """Version of the SSM document that should hold the program."""
    images: Mapping[str, str]
    """Each service's image, as repository@sha256:..."""
    secrets: Mapping[str, int]
    """Versions of the parameters that hold secrets."""

    @property
    def id(self) -> str:
        """The first 12 hex digits of the text's SHA-256."""
        return release_id(self.text)


def release_id(text: str) -> str:
    """Return the id of a release document."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest_of(image: str) -> str:
    """Return the digest of a reference."""
    return image.partition("@")[2]


def parse(text: str) -> Release:
    """Return the release that a document describes. Raises HostError."""
    try:
        document = json_object(text)
        schema, program, version = document["schema"], document["program"], document["hostVersion"]
        images, secrets = document["services"], document["secrets"]
    except KeyError:
        raise HostError(
            "The release document is not a JSON object with schema, hostVersion, program, services and secrets: "
            "run `pulumi up` again."
        ) from None
    if schema != SCHEMA:
        raise HostError(
            f"The release document has schema {json.dumps(schema)}, but the host's program reads {SCHEMA}: "
            "deploy it with the checkout that wrote it."
        )
    for service, image in images.items():
        if not isinstance(image, str) or REFERENCE.fullmatch(image) is None:
            raise HostError(
                f"The release document has {json.dumps(image)} for {service}: "
                "an image must be repository@sha256: and 64 hex digits."
            )
    return Release(text, program, version, images, secrets)
