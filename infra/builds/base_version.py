"""The base's version: the name that VERSION gives to what is in images/base, and that a stack may pin.

A version names one content for ever. Two things keep that true. CHANGELOG.md holds, beside each version, a checksum
of what the base was made of, so that a change under an unchanged VERSION is seen without any registry. And the tag of
the version is given to a digest once, and never moved.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.builds.content import list_context
from infra.builds.registry_tags import add_tag
from infra.lib.canonical_json import canonical_json
from infra.lib.errors import InputError
from infra.lib.messages import of_aws
from infra.product import product_of
from infra.settings import Settings
from infra.settings.patterns import SEMVER

HEADING = re.compile(rf"^## ({SEMVER}) \(inputs ([0-9a-f]{{16}})\)$", re.MULTILINE)
START = 'make base-version VERSION={} CHANGE="what changed"'


class VersionError(InputError):
    """A version cannot be used; the message is a sentence that says why, and what to do."""


def image_of(root: Path) -> str:
    """Return the image that has versions. Raises VersionError if product.yaml has none."""
    image = product_of(root).versioned_image
    if image is None:
        raise VersionError("product.yaml has no image with versioned: true, so there is no version to give.")
    return image


def version_file(root: Path) -> str:
    """Return the file that names the version of what is in the image's folder, relative to the checkout."""
    return f"images/{image_of(root)}/VERSION"


def changelog(root: Path) -> str:
    """Return the file that describes each version, relative to the checkout."""
    return f"images/{image_of(root)}/CHANGELOG.md"


def unresolved(settings: Settings) -> dict[str, str]:
    """Return a placeholder for a pinned base: its digest is not known until the registry has been asked."""
    image, version = settings.product.versioned_image, settings.images.base_version
    return {image: version} if image and version else {}


def read(root: Path) -> str:
    """The version in the checkout at `root`. Raises VersionError where it is none."""
    file = version_file(root)
    text = (root / file).read_text("utf-8").strip()
    if re.fullmatch(SEMVER, text) is None:
        raise VersionError(f"{file} says {text[:40]!r}: it must be three numbers, such as 1.2.0.")
    return text


def inputs(root: Path) -> str:
    """A checksum of what the base is made of: all that its build may see, but for VERSION itself.

    Prose does not count, as for every image: neither the changelog nor a README is part of a build.
    """
    context = list_context(root, product_of(root).context(image_of(root)))
    files = [[file.path, file.sha256] for file in context if file.path != version_file(root)]
    return hashlib.sha256(canonical_json(files).encode()).hexdigest()[:16]


def versions(root: Path) -> dict[str, str]:
    """The checksum of each version in the changelog, the newest first."""
    return dict(HEADING.findall((root / changelog(root)).read_text("utf-8")))


def problem(root: Path) -> str | None:
    """Return what is wrong with VERSION, in a sentence with the remedy; None if it names what is there."""
    if product_of(root).versioned_image is None:
        return None
    try:
        version = read(root)
    except VersionError as error:
        return str(error)
    known, now = versions(root), inputs(root)
    file, log = version_file(root), changelog(root)
    if version not in known:
        return f"{log} has no entry for {version}, which {file} says: `{START.format(version)}` writes it."
    if next(iter(known)) != version:
        return f"{file} says {version}, but the newest version in {log} is {next(iter(known))}: they must agree."
    if known[version] != now:
        return (
            f"images/{image_of(root)} has changed (inputs {now}), and its VERSION is {version} (inputs "
            f"{known[version]}) still: `{START.format(successor(version))}` gives it a new one."
        )
    return None


def successor(version: str) -> str:
    """The next minor version: what a change of requirements usually is."""
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def start(root: Path, version: str, change: str) -> None:
    """Give what is in the image's folder a new version: VERSION, and an entry on top of the changelog.

    `change` is the entry: one line for whoever reads what the version brought. Raises VersionError for a version
    that is none, that was given already or is older than one that was, and for an empty entry.
    """
    if re.fullmatch(SEMVER, version) is None:
        raise VersionError(f"VERSION={version!r} is no version: give three numbers, such as 1.2.0.")
    change = " ".join(change.split())
    if not change:
        raise VersionError(f"CHANGE is empty: say in a line what {version} brings, such as CHANGE='pandas 3.1'.")
    known = versions(root)
    newest = max(known, key=_numbers, default=None)
    if newest is not None and _numbers(version) <= _numbers(newest):
        raise VersionError(
            f"VERSION={version} does not come after {newest}, the newest in {changelog(root)}: "
            f"a version is given once; the next is {successor(newest)}."
        )
    entry = f"## {version} (inputs {inputs(root)})\n\n- {change}\n"
    file = root / changelog(root)
    text = file.read_text("utf-8")
    first = HEADING.search(text)
    before, after = (text[: first.start()], text[first.start() :]) if first else (text.rstrip("\n") + "\n\n", "")
    file.write_text(f"{before}{entry}\n{after}".rstrip("\n") + "\n", "utf-8")
    (root / version_file(root)).write_text(f"{version}\n", "utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def give_tag(ecr: Any, repository: str, version: str, digest: str) -> str | None:
    """Give a digest the tag of its version where nothing has that tag; None, or what stands against it in a sentence.

    `ecr` is boto3's client, `repository` the repository's name. A tag that names another digest stays where it is.
    Raises botocore's errors where the registry cannot be asked.
    """
    named = _digest_of(ecr, repository, version)
    if named is None:
        add_tag(ecr, repository, digest, version)
    elif named != digest:
        return (
            f"The base {version} is {named} in {repository}, and what was built here is {digest}: a version does not "
            "move, so this one goes by its digest alone. It differs in its parent, its source of PyTorch or another "
            "build setting; give it a version of its own, or build it with the settings of the first."
        )
    return None


def _digest_of(ecr: Any, repository: str, tag: str) -> str | None:
    try:
        details = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    digest: str = details[0]["imageDigest"]
    return digest


NOT_THERE = ("couldn't find resource", "ImageNotFoundException", "RepositoryNotFoundException")
"""Parts of the registry's answers that mean that there is no such image; another error says nothing about it."""


def not_found(settings: Settings, repository: str, reason: str) -> str:
    """Return the sentence for a pinned version that was not found; `reason` is the registry's answer."""
    version, key = settings.images.base_version, f"{settings.project}:images.baseVersion"
    said = of_aws(reason)
    if not any(answer in reason for answer in NOT_THERE):
        return (
            f'{key} is "{version}", but {repository} could not be asked for it: check the '
            f"credentials, the region and the network (the registry: {said})."
        )
    return (
        f'{key} is "{version}", but {repository} has no image of that version; '
        f"`make base VERSION={version} STACK={settings.registry.owner}` builds it, as does the `up` of a stack that "
        f"pins none, from a checkout whose VERSION says {version} "
        f"(the registry: {said})."
    )


def content_tag(version: str, repository: str, tags: Sequence[str]) -> str:
    """Which of an image's tags is its content tag. Raises VersionError where none is: Slipway did not build it."""
    found = sorted(tag for tag in tags if re.fullmatch("[0-9a-f]{20}", tag))
    if not found:
        raise VersionError(
            f"{repository}:{version} has no content tag, so it was not built by Slipway: "
            "delete that tag, and let `make base` build the version."
        )
    return found[0]
