"""Whether the builder that the settings name can do the builds: asked before anything is created."""

import json
from collections.abc import Mapping
from pathlib import Path

from infra.lib.errors import InputError

UNFIT = "docker"
"""The driver that shares the engine's own builder: it exports no registry cache."""


class BuilderError(InputError):
    """The builder is missing or unfit; the message says what to do."""


def check(project: str, name: str, environment: Mapping[str, str]) -> None:
    """Refuse a builder that buildx does not know, or whose driver cannot export a cache."""
    instance = _instances(environment) / name
    if not instance.exists():
        raise BuilderError(
            f"{project}:images.builder is {name!r}, but this machine has no such builder; "
            f"run `make builder` to make it, or name one that `docker buildx ls` shows."
        )
    driver = json.loads(instance.read_text()).get("Driver", "")
    if driver == UNFIT:
        raise BuilderError(
            f"{project}:images.builder is {name!r}, whose driver `{UNFIT}` cannot keep a registry cache; "
            f"remove it by `docker buildx rm {name}` and run `make builder`."
        )


def _instances(environment: Mapping[str, str]) -> Path:
    """Return the folder in which buildx keeps its builders (docker/buildx, util/confutil/config.go)."""
    if environment.get("BUILDX_CONFIG"):
        return Path(environment["BUILDX_CONFIG"]) / "instances"
    docker = environment.get("DOCKER_CONFIG") or Path.home() / ".docker"
    return Path(docker) / "buildx" / "instances"
