"""Go back to a release that was verified before: by a pin, or by the release file of a stack that builds nothing.

The commands are `make releases` and `make rollback` (devcloud.cli.rollback). Nothing is built or pushed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra import ROOT
from infra.builds import base_version
from infra.builds.plan import plan_builds
from infra.lib.messages import of_aws
from infra.product import Product
from infra.releases import graph, history, pin
from infra.releases.history import VerifiedRelease
from infra.releases.release import ReleasedImage, ReleaseError, ReleaseFile, read_release_file, write_release_file
from infra.settings import Settings

GONE = ("ImageNotFoundException", "RepositoryNotFoundException")
"""ECR's answers that mean that there is no such image; another error says nothing about it."""


def releases(settings: Settings, ssm: Any) -> list[VerifiedRelease]:
    """Return the verified releases of a stack, the newest first."""
    return history.read(ssm, graph.verified_parameter(settings))


def notes(settings: Settings, ssm: Any, root: Path = ROOT) -> dict[str, str]:
    """Return a remark on the release that a stack is held to, by its id. Raises ReleaseError."""
    if settings.images.builds:
        found = pin.read(ssm, pin.parameter(settings.parameter_path))
        return {history.id_of(found.images): f"pinned since {found.at}"} if found else {}
    file = root / settings.images.source
    if not file.exists():
        return {}
    named = read_release_file(file, settings.product.images)
    return {history.id_of(named.images): f"in {settings.images.source}"}


def check_images(settings: Settings, target: VerifiedRelease, ecr: Any) -> str | None:
    """Check that the registry still has the images of a release that run; `ecr` is boto3's client.

    Return a note if the registry cannot be asked: the host may need none. Raises ReleaseError if an image is gone, even
    if the host has it still: the worker's tasks always pull, and so does a host that takes this one's place.
    """
    if settings.registry.address:
        return None  # a registry of another kind, which has no API of ECR's
    product, images = settings.product, _images(settings.product, target)
    run = {*product.host_images, *([product.worker.image] if product.worker else [])}
    for name in sorted(run):
        repository = f"{settings.registry.namespace}/{name}"
        try:
            ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": images[name].digest}])
        except (BotoCoreError, ClientError) as error:
            if not isinstance(error, ClientError) or error.response["Error"]["Code"] not in GONE:
                said = of_aws(error)
                return (
                    f"The registry does not say whether it has the images of the release {target.id} ({said}). The "
                    "rollback goes on: the host needs none for its last three releases; the worker's tasks always pull."
                )
            raise ReleaseError(
                f"The release {target.id} cannot be gone back to: its image {name} ({images[name].digest}) is no "
                f"longer in the repository {repository}, which keeps only its newest images (registry.keepImages): "
                f"choose another release by TO=, of those that `make releases STACK={settings.stack}` lists, or bring "
                "its commit up, which builds it again."
            ) from None
    return None


def write_pin(settings: Settings, target: VerifiedRelease, ssm: Any, by: str, root: Path = ROOT) -> str:
    """Pin a stack to a release until this checkout's images change. Return what was done, in a sentence."""
    plans = plan_builds(settings, root, base_version.unresolved(settings))
    written = pin.Pin(
        images=_images(settings.product, target),
        stands_for=pin.tags_of(settings, plans),
        by=by,
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    name = pin.parameter(settings.parameter_path)
    ssm.put_parameter(Name=name, Value=pin.render(written), Type="String", Overwrite=True)
    return (
        f"Stack {settings.stack} is pinned to the release {target.id} ({name}): each `up` deploys it until a change "
        "of the code changes an image. Migrations are not undone."
    )


def rewrite_file(settings: Settings, target: VerifiedRelease, root: Path = ROOT) -> str:
    """Name a release in the file of a stack that builds nothing. Return what was done, in a sentence."""
    path = root / settings.images.source
    now = read_release_file(path, settings.product.images)
    changed = write_release_file(path, ReleaseFile(now.source, _images(settings.product, target)))
    where = settings.images.source
    done = f"{where} names the release {target.id} now" if changed else f"{where} named the release {target.id} already"
    return (
        f"{done}. Stack {settings.stack} builds nothing, so the file is its pin: commit it for review, then "
        f"`make up STACK={settings.stack}` (or `pulumi up --stack {settings.stack}`) deploys it."
    )


def difference(serving: VerifiedRelease, target: VerifiedRelease) -> str:
    """Return the images that a rollback changes, in a sentence."""
    changed = sorted(
        name
        for name in {*serving.images, *target.images}
        if _digest(serving.images, name) != _digest(target.images, name)
    )
    if not changed:
        return f"The release {target.id} serves already; it stays."
    return f"From {serving.id} (since {serving.when}) to {target.id} ({target.when}): {', '.join(changed)}."


def _digest(images: Mapping[str, ReleasedImage], name: str) -> str | None:
    return images[name].digest if name in images else None


def _images(product: Product, target: VerifiedRelease) -> dict[str, ReleasedImage]:
    """Return the release's images of the product. Raises ReleaseError if it lacks one."""
    missing: Sequence[str] = sorted(product.images.keys() - target.images.keys())
    if missing:
        raise ReleaseError(
            f"The release {target.id} has no image {', '.join(missing)}, which product.yaml of this checkout names: "
            "check out a commit whose product.yaml fits it, and run `make rollback` there."
        )
    return {name: target.images[name] for name in product.images}
