"""The images of an `up` whose release was verified on the host: promotion reads them.

An SSM parameter holds them with the release's id. It is written after the host has said what serves, so before the
worker is updated. Its history is that of the stack's releases, which the dashboard shows.
"""

import json
from collections.abc import Mapping
from typing import Any

from infra.lib.canonical_json import canonical_json
from infra.releases.release import DIGEST, IMAGE, TAG, ReleasedImage, ReleaseError, check_size

SCHEMA = 2
READ = (1, SCHEMA)
"""Schemas that are read: the first has no id, and a stack has it until its next `up`."""


def render(release: str, images: Mapping[str, ReleasedImage]) -> str:
    """Return the document of a release, given its id, as canonical JSON within 4,096 bytes.

    Raises ReleaseError if it is longer or not valid.
    """
    entries = {
        name: {"digest": image.digest, "contentTag": image.content_tag} for name, image in sorted(images.items())
    }
    text = canonical_json({"schema": SCHEMA, "release": release, "images": entries})
    parse(text)
    return text


def parse(text: str, where: str = "The verified release") -> Mapping[str, ReleasedImage]:
    """Return the images of a document. Raises ReleaseError, whose sentence begins with `where`."""
    check_size(text, where)
    try:
        document = json.loads(text)
        images = {name: image_of(entry) for name, entry in document["images"].items()}
        if document["schema"] not in READ or not images or not all(map(IMAGE.fullmatch, images)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReleaseError(f"{where} is not a document of this version of Slipway: bring the stack up first.") from None
    return images


def skipped_release(images: Mapping[str, ReleasedImage], content_tags: Mapping[str, str]) -> str | None:
    """Return a warning if an `up` ended without a release of its images (`--target`); None otherwise.

    `images` are those that were verified last, `content_tags` the tags of the `up`.
    """
    others = [
        name for name, tag in sorted(content_tags.items()) if name not in images or images[name].content_tag != tag
    ]
    if not others:
        return None
    return (
        f"This `up` released nothing, though {', '.join(others)} changed: --target left the release out. The stack "
        "serves what was verified before, which the outputs name; `pulumi up` without --target releases the change."
    )


def release_of(text: str) -> str | None:
    """Return the id of the release in a document that `parse` took; None in one of the first schema."""
    found = json.loads(text).get("release")
    return found if isinstance(found, str) else None


def image_of(entry: Mapping[str, Any]) -> ReleasedImage:
    """Return the image that an entry of a document names. Raises ValueError, KeyError or TypeError for a wrong one."""
    digest, tag = entry["digest"], entry["contentTag"]
    if DIGEST.fullmatch(digest) is None or TAG.fullmatch(tag) is None:
        raise ValueError
    return ReleasedImage(digest, tag)
