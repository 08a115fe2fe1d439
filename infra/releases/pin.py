"""The pin of a rollback: an SSM parameter with the images that an `up` deploys in place of the checkout's.

An operator writes it (`make rollback`), so it is no resource of the program. It holds as long as the checkout's images
are those that it stands in for. Once a change of the code changes one, the next `up` builds again and deletes the pin.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.builds import base_version
from infra.builds.plan import BuildPlan
from infra.lib.canonical_json import canonical_json
from infra.lib.messages import LONGEST_OF_AWS, plain
from infra.releases.release import IMAGE, ReleasedImage, ReleaseError, check_size
from infra.releases.verified import image_of
from infra.settings import Settings

SCHEMA = 1


@dataclass(frozen=True)
class Pin:
    """The images to deploy, and the checkout that they stand in for."""

    images: Mapping[str, ReleasedImage]
    stands_for: Mapping[str, str]
    """The tag of each image of the checkout from which the rollback was made."""
    by: str
    """ARN of the operator."""
    at: str
    """Time of the rollback, for people."""

    def changed(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Return the images that a checkout with these tags does not have in common with that of the rollback."""
        names = sorted({*tags, *self.stands_for})
        return tuple(name for name in names if tags.get(name) != self.stands_for.get(name))


def parameter(path: str) -> str:
    """Return the name of the parameter of a stack's pin, given the path of the stack's parameters."""
    return f"{path}/pin"


def tags_of(settings: Settings, plans: Mapping[str, BuildPlan]) -> dict[str, str]:
    """Return the content tag of each image of a checkout, as planned without asking the registry.

    A base that is pinned by its version has that for a tag, which names one content just as well.
    """
    return base_version.unresolved(settings) | {image: plan.content_tag for image, plan in plans.items()}


def render(pin: Pin) -> str:
    """Return the document as canonical JSON within 4,096 bytes. Raises ReleaseError if it is longer or not valid."""
    text = canonical_json(
        {
            "schema": SCHEMA,
            "images": {
                name: {"digest": image.digest, "contentTag": image.content_tag} for name, image in pin.images.items()
            },
            "standsFor": dict(pin.stands_for),
            "by": pin.by,
            "at": pin.at,
        }
    )
    parse(text, "The pin")
    return text


def parse(text: str, where: str) -> Pin:
    """Return the pin in a document. Raises ReleaseError, whose sentence begins with `where`."""
    check_size(text, where)
    try:
        document = json.loads(text)
        pin = Pin(
            images={name: image_of(entry) for name, entry in document["images"].items()},
            stands_for={name: str(tag) for name, tag in document["standsFor"].items()},
            # For people's terminals, which must not take a part of it for a command.
            by=plain(str(document["by"]), LONGEST_OF_AWS),
            at=plain(str(document["at"])),
        )
        # An image without a digest could be neither taken nor built.
        unknown = pin.stands_for.keys() - pin.images.keys()
        if document["schema"] != SCHEMA or not pin.stands_for or unknown or not all(map(IMAGE.fullmatch, pin.images)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReleaseError(
            f"{where} is not a pin of this version of Slipway: delete it to deploy this checkout, or let "
            "`make rollback` write another one."
        ) from None
    return pin


def read(ssm: Any, name: str) -> Pin | None:
    """Return a stack's pin, None if there is none; `ssm` is boto3's client. Raises ReleaseError."""
    try:
        text = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return None
    return parse(text, f"The parameter {name}")


def delete(ssm: Any, name: str) -> None:
    """Delete a stack's pin if there is one; `ssm` is boto3's client."""
    try:
        ssm.delete_parameter(Name=name)
    except ssm.exceptions.ParameterNotFound:
        return
