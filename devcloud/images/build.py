"""Build one image by BuildKit's client."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.util.console import UserError
from devcloud.util.processes import traced
from infra.builds.plan import PARENT_ARGUMENT

BUILD_SECONDS = 1800
LAST_LINES = 6


@dataclass(frozen=True)
class Request:
    """One build by BuildKit's Dockerfile frontend."""

    image: str
    context: Path
    dockerfile: str
    """Relative to the context."""
    build_args: Mapping[str, str]
    export: str
    """The exporter's settings, as buildctl's --output takes them."""
    platform: str
    cache: str | None = None
    """The reference of its registry cache; None for none."""
    cache_settings: str = ""
    parent: str | None = None
    """The image of the same contender that it is built FROM."""
    content_tag: str | None = None
    """The content tag, if it is known before the build: an image that has it already is not built."""
    target: str | None = None
    """The stage to build; None for the last one."""


def buildctl(request: Request, address: str, parent: str | None, metadata: Path) -> list[str]:
    """Return the arguments of buildctl for one build; `parent` is the reference of the image that it is built FROM."""
    arguments = dict(request.build_args)
    if parent:
        arguments[PARENT_ARGUMENT] = parent
    command = ["--addr", address, "build", "--frontend", "dockerfile.v0", "--progress", "plain"]
    command += ["--local", f"context={request.context}", "--local", f"dockerfile={request.context}"]
    command += ["--opt", f"filename={request.dockerfile}", "--opt", f"platform={request.platform}"]
    if request.target:
        command += ["--opt", f"target={request.target}"]
    for name, value in sorted(arguments.items()):
        command += ["--opt", f"build-arg:{name}={value}"]
    if request.cache:
        command += ["--import-cache", f"type=registry,ref={request.cache}"]
        command += ["--export-cache", f"type=registry,ref={request.cache},{request.cache_settings}"]
    return [*command, "--output", request.export, "--metadata-file", str(metadata)]


def run(command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run a builder's client to its end. Raise UserError with the end of what it said."""
    done = subprocess.run(
        traced(command),
        env={**os.environ, **environment},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = " / ".join([line for line in done.stdout.splitlines() if line.strip()][-LAST_LINES:])
        raise UserError(f"`{Path(command[0]).name} ...` failed (exit {done.returncode}): {said}")
