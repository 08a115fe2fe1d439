"""The settings of a stack, as this machine's cloud can run them.

Any stack but `local` is rehearsed from a copy of its file in the cache folder: the same settings, but what exists only
outside this machine (a pinned image on Docker Hub, a model hub, real secrets, a real account) is taken from the local
stack's file, and managed databases are the cloud's own. Images from outside that a host runs are named by the
environment. The committed files name no emulator, and are not changed.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from devcloud.bootstrap import ROOT
from devcloud.cloud import databases
from devcloud.cloud.cloud import Cloud
from devcloud.emulator.addresses import PULL_THROUGH
from devcloud.toolchain import database_standins
from devcloud.util.console import WrongCallError
from devcloud.util.files import replace_text
from infra.lib.yaml_file import read_mapping
from infra.product import product_of
from infra.settings import hosted
from infra.settings.loading import UPSTREAM
from infra.settings.models import attribute_of, key_of_secret
from infra.settings.stack_file import project_name, read_values

LOCAL = "local"
IMAGES_FROM_LOCAL = ("builder", "parents", "torch", "models", "compression", "compressionLevel", "buildSecrets")
"""Settings of images that say from and with what this machine builds."""
HOST_KEYS_OUTSIDE = ("domain", "acmeDirectory", "acmeRoot")
"""Settings of the host that are about the world outside: a stack's domain leads to its real host."""
BACKEND_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")


def project() -> str:
    """Return the project's name, as Pulumi.yaml has it."""
    return project_name(ROOT / "Pulumi.yaml")


def key(setting: str) -> str:
    """Return the full key of a setting in a stack's file: `images` -> `slipway:images`."""
    return f"{project()}:{setting}"


def stacks() -> list[str]:
    """Return the stacks that have a settings file."""
    return sorted(file.name.split(".")[1] for file in ROOT.glob("Pulumi.*.yaml"))


def committed_file(stack: str) -> Path:
    """Return a stack's settings file. Raise WrongCallError if there is none."""
    if stack not in stacks():
        raise WrongCallError(
            f"STACK={stack!r} has no settings file: write Pulumi.{stack}.yaml, or use one of {', '.join(stacks())}."
        )
    return ROOT / f"Pulumi.{stack}.yaml"


def unset_secrets(stack: str) -> set[str]:
    """Return the keys of the secrets that a stack needs and its file does not set."""
    values, encrypted = read_values(committed_file(stack), project())
    return hosted.needed(product_of(), project(), values.keys() | encrypted)


def images(stack: str) -> dict[str, Any]:
    """Return the settings of images in a stack's file, without the defaults."""
    return _group(read_mapping(committed_file(stack)), "config", key("images"))


def builds(stack: str) -> bool:
    """Return whether a stack builds its images, rather than taking them from a release file."""
    return _are_built(images(stack))


def database_name(stack: str) -> str:
    """Return the name of a stack's database, the project's for the local stack: stacks share a server, no database."""
    return attribute_of(project() if stack == LOCAL else f"{project()}-{stack}")


def config_file(cloud: Cloud, stack: str) -> Path:
    """Return the settings file to run a stack on a cloud with. If it is a copy, write it."""
    committed = committed_file(stack)
    if stack == LOCAL:
        return committed
    document = rehearsed(read_mapping(committed), read_mapping(committed_file(LOCAL)), stack)
    copy = cloud.folder / "config" / committed.name
    if "encryptionsalt" not in document and copy.exists() and (salt := read_mapping(copy).get("encryptionsalt")):
        document["encryptionsalt"] = salt
    _write(copy, document)
    # `pulumi stack init` runs beside the copy, so that a new stack's salt goes into the copy and not into the checkout.
    replace_text(copy.with_name("Pulumi.yaml"), (ROOT / "Pulumi.yaml").read_text())
    return copy


def rehearsed(committed: Mapping[str, Any], local: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return a stack's settings, with this machine's in place of what exists only outside it."""
    config, ours = dict(_group(committed, "config")), _group(local, "config")
    config |= _secrets(config, ours, stack)
    if account := ours.get(key("accountId")):
        config[key("accountId")] = account
    images = config.get(key("images")) or {}
    if isinstance(images, dict) and _are_built(images):
        # A setting that the local file leaves to its default is left to it here too: its value is for outside.
        config[key("images")] = {name: value for name, value in images.items() if name not in IMAGES_FROM_LOCAL} | {
            name: value for name, value in _group(ours, key("images")).items() if name in IMAGES_FROM_LOCAL
        }
    if isinstance(host := config.get(key("host")), dict):
        config[key("host")] = {name: value for name, value in host.items() if name not in HOST_KEYS_OUTSIDE}
    return {**{name: value for name, value in committed.items() if name not in BACKEND_KEYS}, "config": config}


def stand_ins(cloud: Cloud) -> dict[str, str]:
    """Return the environment by which hosts run this cloud's stand-ins for images from outside, if it has any."""
    if not cloud.was_started:
        return {}
    there = database_standins.published(cloud.cache, f"127.0.0.1:{cloud.ports.registry}")
    product = product_of()
    parents = {
        name: f"{cloud.registry_address}/{PULL_THROUGH}{there[image]}"
        for name in {service.external for service in product.services.values() if service.external}
        if (image := re.split("[:@]", product.upstream[name].rpartition("/")[2])[0]) in there
    }
    return {UPSTREAM: json.dumps(parents, sort_keys=True)} if parents else {}


def managed_addresses(stack: str) -> dict[str, str]:
    """Return the addresses of the databases that the cloud has outside any host, by the check of their secrets."""
    user, gateway = databases.DATABASE_USER, "host.docker.internal"
    return {
        "postgres-url": f"postgresql://{user}:{user}@{gateway}:{databases.POSTGRES_PORT}/{database_name(stack)}",
        "redis-url": f"redis://{gateway}:{databases.REDIS_PORT}/0",
    }


def unpinned_file(cloud: Cloud, config: Path) -> Path:
    """Return a copy of a settings file that builds the base, whichever version of it the stack pins."""
    document = read_mapping(config)
    images = _group(document, "config", key("images"))
    if images.pop("baseVersion", None):
        document["config"][key("images")] = images
    copy = cloud.folder / "unpinned" / config.name
    _write(copy, document)
    return copy


def _secrets(config: Mapping[str, Any], ours: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the secrets of a rehearsal: the local stack's, and the cloud's own databases for managed ones.

    A database is managed if the stack sets its address; or neither that nor the password of one on the host, such as
    a stack whose secrets are still to be set.
    """
    product = product_of()
    keys = {name: key(key_of_secret(name)) for name in product.secrets}
    hosted = {address for password, address in product.passwords.items() if keys[password] in config}
    found = {}
    for name, secret in product.secrets.items():
        if secret.hosted is None:
            wanted = product.passwords.get(name, name) in hosted or name not in product.passwords
            if wanted and keys[name] in ours:
                found[keys[name]] = ours[keys[name]]
        elif keys[name] in config or (not hosted and secret.check in managed_addresses(stack)):
            found[keys[name]] = managed_addresses(stack)[secret.check]
    return found


def _are_built(images: Mapping[str, Any]) -> bool:
    return bool(images.get("source", "build") == "build")


def _group(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the group of settings under the keys; empty if it is missing or no group, which the program reports."""
    group: Mapping[str, Any] = document
    for name in keys:
        found = group.get(name)
        group = found if isinstance(found, dict) else {}
    return dict(group)


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_text(file, yaml.safe_dump(document, sort_keys=True))
