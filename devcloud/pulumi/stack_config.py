"""The settings of a stack as this machine's cloud can run them.

`local` runs from its committed file. Any other stack is rehearsed from a copy of its file in the cache folder: the
same settings, but what only the world outside has (a pinned parent on Docker Hub, a model hub, real secrets, a real
account) is taken from the local stack's file. The committed files name no emulator and stay as they are.
"""

from pathlib import Path
from typing import Any

import yaml

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.util.console import UserError, WrongCallError
from devcloud.util.files import replace_text
from infra.product import product_of
from infra.settings.models import attribute_of, key_of_secret
from infra.settings.stack_file import project_name

LOCAL = "local"
IMAGES_FROM_LOCAL = ("builder", "parents", "torch", "models", "compression", "compressionLevel", "buildSecrets")
"""What a build on this machine is made from and with."""
BACKEND_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")


def project() -> str:
    """Return the project's name, as Pulumi.yaml has it."""
    return project_name(ROOT / "Pulumi.yaml")


def key(setting: str) -> str:
    """Return the full key of a setting in a stack's file: `images` -> `slipway:images`."""
    return f"{project()}:{setting}"


def stacks() -> list[str]:
    """The stacks that have a settings file."""
    return sorted(file.name.split(".")[1] for file in ROOT.glob("Pulumi.*.yaml"))


def committed_file(stack: str) -> Path:
    """A stack's settings file. Raise WrongCallError if there is none."""
    file = ROOT / f"Pulumi.{stack}.yaml"
    if stack not in stacks():
        raise WrongCallError(
            f"STACK={stack!r} has no settings file: write Pulumi.{stack}.yaml, or use one of {', '.join(stacks())}."
        )
    return file


def builds(stack: str) -> bool:
    """Whether a stack builds its images; otherwise it takes them from a release file."""
    images = (_read(committed_file(stack)).get("config") or {}).get(key("images")) or {}
    return not isinstance(images, dict) or images.get("source", "build") == "build"


def database_name(stack: str) -> str:
    """Return the name of a stack's database, the project's for the local stack: stacks share a server, no database."""
    return attribute_of(project() if stack == LOCAL else f"{project()}-{stack}")


def config_file(cloud: Cloud, stack: str) -> Path:
    """The settings file to run a stack on a cloud with, written anew where it is a copy."""
    committed = committed_file(stack)
    if stack == LOCAL:
        return committed
    folder = cloud.folder / "config"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / committed.name
    salt = _read(copy).get("encryptionsalt") if copy.exists() else None
    text = yaml.safe_dump(rehearsed(_read(committed), _read(ROOT / f"Pulumi.{LOCAL}.yaml"), stack), sort_keys=True)
    replace_text(copy, text + (f"encryptionsalt: {salt}\n" if salt else ""))
    # Stacks are made from here, so that a new stack's salt goes into the copy and not into the checkout.
    replace_text(folder / "Pulumi.yaml", (ROOT / "Pulumi.yaml").read_text())
    return copy


def rehearsed(committed: dict[str, Any], local: dict[str, Any], stack: str) -> dict[str, Any]:
    """A stack's settings with what this machine has in place of what only the world outside has."""
    config = dict(committed.get("config") or {})
    theirs = local.get("config") or {}
    account = key("accountId")
    if account in theirs:
        config[account] = theirs[account]
    for name, secret in product_of().secrets.items():
        full = key(key_of_secret(name))
        if full in theirs:
            config[full] = theirs[full]
            if secret.check == "postgres-url":
                config[full] = f"{theirs[full].rpartition('/')[0]}/{database_name(stack)}"
    images = dict(config.get(key("images")) or {})
    if images.get("source", "build") == "build":
        local_images = theirs.get(key("images")) or {}
        # What the local file leaves to its default is left to it here too: a pinned parent is on Docker Hub alone.
        own = {name: value for name, value in images.items() if name not in IMAGES_FROM_LOCAL}
        config[key("images")] = own | {name: local_images[name] for name in IMAGES_FROM_LOCAL if name in local_images}
    rest = {key: value for key, value in committed.items() if key not in (*BACKEND_KEYS, "config")}
    return {**rest, "config": config}


def unpinned_file(cloud: Cloud, config: Path) -> Path:
    """A copy of a settings file that builds the base, whichever version of it the stack pins."""
    document = _read(config)
    (document.get("config") or {}).get(key("images"), {}).pop("baseVersion", None)
    folder = cloud.folder / "unpinned"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / config.name
    copy.write_text(yaml.safe_dump(document, sort_keys=True))
    return copy


def _read(file: Path) -> dict[str, Any]:
    found = yaml.safe_load(file.read_text()) or {}
    if not isinstance(found, dict):
        raise UserError(f"{file.name} is not a stack's settings file: it must be a YAML map with the key `config`.")
    return found
