"""Promote the digests that one stack runs to another, through a reviewable change. Nothing is rebuilt.

`releases/<to>.json` names them, and they get the tag `release-<to>.<n>`, which the repositories' first lifecycle rule
keeps: ECR itself does not know what is in use. The command is `make promote FROM=dev TO=prod` (devcloud.cli.deploy).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import ROOT
from infra.builds.registry_tags import add_tag
from infra.lib.lifecycle import promoted_prefix
from infra.outputs import StackOutputs
from infra.product import product_of
from infra.releases import verified
from infra.releases.release import ReleasedImage, ReleaseError, ReleaseFile, next_promoted_tag, write_release_file
from infra.settings.patterns import NAME as STACK
from infra.settings.stack_file import project_name, read_values


@dataclass(frozen=True)
class Candidate:
    """One image to promote."""

    repository: str
    """The repository's name in ECR, without the registry."""
    digest: str
    content_tag: str


def candidates(stack: str, outputs: StackOutputs, ssm: Any) -> dict[str, Candidate]:
    """Return the images that were verified in a stack. Raises ReleaseError if that are not all of the product's."""
    name = outputs.verified_parameter
    try:
        text = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        raise ReleaseError(f"Nothing was verified in stack {stack} yet: bring it up first, then promote.") from None
    served = verified.parse(text, f"The parameter {name}")
    images = product_of().images
    missing = sorted(set(images) - set(served))
    if missing:
        raise ReleaseError(f"Stack {stack} runs no {', '.join(missing)}: bring it up first, then promote.")
    return {
        image: Candidate(
            repository=outputs.images[image].partition("/")[2].partition("@")[0],
            digest=served[image].digest,
            content_tag=served[image].content_tag,
        )
        for image in images
    }


def tag(ecr: Any, images: Mapping[str, Candidate], target: str) -> str:
    """Give every image one more tag, the same for all, which the lifecycle rules keep; the tag.

    Digests that have such a tag in common already keep it. Raises ReleaseError for a digest that is not there.
    """
    prefix = promoted_prefix(target)
    known: list[str] = []
    shared: set[str] | None = None
    for image in images.values():
        described = [
            detail
            for page in ecr.get_paginator("describe_images").paginate(repositoryName=image.repository)
            for detail in page["imageDetails"]
        ]
        known += [name for detail in described for name in detail.get("imageTags", [])]
        ours = next((detail for detail in described if detail["imageDigest"] == image.digest), None)
        if ours is None:
            raise ReleaseError(f"{image.repository}@{image.digest} is not in the registry: it cannot be promoted.")
        tags = {name for name in ours.get("imageTags", []) if name.startswith(prefix)}
        shared = tags if shared is None else shared & tags
    if shared:
        return max(shared, key=lambda tag: (len(tag), tag))  # -10 is after -9
    name = next_promoted_tag(target, known)
    for image in images.values():
        add_tag(ecr, image.repository, image.digest, name)
    return name


def unfit(target: str, root: Path = ROOT) -> str:
    """Return why nothing can be promoted to a stack, in a sentence; empty if it can."""
    file = root / f"Pulumi.{target}.yaml"
    project = project_name(root / "Pulumi.yaml")
    release = f"releases/{target}.json"
    right = f"{project}:images: {{source: {release}}}"
    if re.fullmatch(STACK, target) is None or not file.is_file():
        return f"TO={target!r} has no settings file: write Pulumi.{target}.yaml with {right}."
    values, _ = read_values(file, project)
    images: dict[str, Any] = json.loads(values.get(f"{project}:images", "{}"))
    if images.get("source") != release:
        return (
            f"{file.name} takes its images from {images.get('source', 'build')!r}; "
            f"to be promoted to, it must have {right}."
        )
    return ""


def promote(source: str, target: str, outputs: StackOutputs, ssm: Any, ecr: Any) -> str:
    """Promote what was verified in `source` to `target`. Return what was done, in a sentence."""
    images = candidates(source, outputs, ssm)
    name = tag(ecr, images, target)
    path = ROOT / "releases" / f"{target}.json"
    released = {image: ReleasedImage(found.digest, found.content_tag) for image, found in images.items()}
    written = write_release_file(path, ReleaseFile(source, released))
    where = path.relative_to(ROOT)
    done = f"{where} names them; commit it for review" if written else f"{where} named them already"
    return f"{', '.join(images)} of {source} are tagged {name}; {done}."
