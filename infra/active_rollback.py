"""Find a stack's pin before any resource is declared, and lift it once another release was verified."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import boto3
import pulumi
from botocore.exceptions import BotoCoreError, ClientError

from infra.builds.plan import BuildPlan
from infra.lib.messages import LONGEST_OF_AWS, of_aws, plain
from infra.releases import graph, history, pin, verified
from infra.releases.release import ReleasedImage, ReleaseError
from infra.settings import Settings


@dataclass(frozen=True)
class Rollback:
    """The rollback that a stack is in: one that holds, or one that ends with this `up`."""

    name: str
    """The pin's parameter."""
    region: str
    images: Mapping[str, ReleasedImage] | None
    """The images to deploy in place of the checkout's; None if the rollback ends."""

    def lift(self, written: pulumi.Output[str], content_tags: Mapping[str, str]) -> None:
        """Delete the pin once the images of this checkout were verified.

        `written` is the value of the stack's parameter `verified`. With `--target` it is still that of another release.
        """
        if self.images is not None or pulumi.runtime.is_dry_run():
            return

        async def delete(text: str) -> bool:
            try:
                tags = {image: found.content_tag for image, found in verified.parse(text).items()}
                if tags != content_tags:
                    return False
                await asyncio.to_thread(self._delete)
            except (ReleaseError, BotoCoreError, ClientError) as error:
                reason = plain(str(error), LONGEST_OF_AWS)
                pulumi.log.warn(f"The pin {self.name} could not be deleted ({reason}); the next `up` tries again.")
                return False
            pulumi.log.info(f"rollback: lifted, the pin {self.name} is deleted")
            return True

        def deleted(text: str) -> pulumi.Input[bool]:
            return delete(text)

        # The runtime waits for every output before the program ends, so for this too.
        written.apply(deleted)

    def _delete(self) -> None:
        pin.delete(boto3.client("ssm", region_name=self.region), self.name)


def find(settings: Settings, plans: Mapping[str, BuildPlan]) -> Rollback | None:
    """Return the stack's rollback, and say what it means for this `up`; None without one. Raises ReleaseError.

    `plans` are the checkout's, as planned without the registry.
    """
    name = pin.parameter(settings.parameter_path)
    parameters = _parameters(settings)
    if name not in parameters:
        return None
    found = pin.parse(parameters[name], f"The parameter {name}")
    release = f"the release {history.id_of(found.images)} (since {found.at}, by {found.by})"
    reason = _end(settings, found, plans, parameters)
    if reason:
        pulumi.log.info(f"rollback: {reason}, so the rollback to {release} ends; building as usual")
        return Rollback(name, settings.region, None)
    _check_verified(settings, name, found)
    pulumi.log.info(
        f"rollback: deploying {release} in place of this checkout, without a build; "
        "it ends once a change of the code changes an image"
    )
    return Rollback(name, settings.region, {image: found.images[image] for image in settings.product.images})


def _end(
    settings: Settings, found: pin.Pin, plans: Mapping[str, BuildPlan], parameters: Mapping[str, str]
) -> str | None:
    """Return why a rollback ends; None if it holds."""
    if graph.verified_parameter(settings) not in parameters:
        return "the stack was deleted since"
    if changed := found.changed(pin.tags_of(settings, plans)):
        return f"{', '.join(changed)} changed"
    return None


def _check_verified(settings: Settings, name: str, found: pin.Pin) -> None:
    """Raise ReleaseError if a pin names other images than those of a release that was verified in this stack.

    Without this check the right to write the pin would be a right to deploy any image of the registry.
    """
    wanted = {image: found.images[image] for image in settings.product.images}
    ssm, verified_name = boto3.client("ssm", region_name=settings.region), graph.verified_parameter(settings)
    try:
        releases = history.read(ssm, verified_name)
    except (BotoCoreError, ClientError) as error:
        raise ReleaseError(
            f"The history of {verified_name} could not be read, so the pin {name} cannot be checked: allow "
            f"ssm:GetParameterHistory on it (AWS: {plain(str(error), LONGEST_OF_AWS)})."
        ) from None
    if not any(wanted.items() <= release.images.items() for release in releases):
        raise ReleaseError(
            f"The parameter {name} names the release {history.id_of(found.images)}, which is not in the history of "
            f"{verified_name} (SSM keeps 100 versions): let `make rollback` write another pin, of a release that "
            f"`make releases STACK={settings.stack}` lists, or delete the parameter to deploy this checkout."
        )


def _parameters(settings: Settings) -> dict[str, str]:
    """Return the stack's parameters `pin` and `verified` by name, those of them that exist. Raises ReleaseError.

    By name: a right on the whole path would also be one to read every secret of the stack.
    """
    names = [pin.parameter(settings.parameter_path), graph.verified_parameter(settings)]
    try:
        found = boto3.client("ssm", region_name=settings.region).get_parameters(Names=names)["Parameters"]
    except (BotoCoreError, ClientError) as error:
        raise ReleaseError(
            f"AWS could not be asked for {' and '.join(names)}: check that the credentials may call ssm:GetParameters "
            f"on them (AWS: {of_aws(error)})."
        ) from None
    return {parameter["Name"]: parameter["Value"] for parameter in found}
