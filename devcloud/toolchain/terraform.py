"""A Terraform AWS provider that is on this machine already, in the layout of a Terraform filesystem mirror."""

import os
from collections.abc import Iterator
from pathlib import Path

from devcloud.toolchain.official import architecture
from devcloud.toolchain.versions import TERRAFORM_AWS

ROOTS = (Path("/opt"), Path("/usr/local"), Path("/usr/share"), Path("/usr/lib"), Path("/var/lib"))
"""Where optional software is, by custom; a mirror may lie a few folders below."""
DEEP = 3


def provider() -> Path | None:
    """The AWS provider's binary, or None. Of one version alone: that is the one whose names aws_names knows."""
    for root in _mirrors():
        for found in sorted((root / layout()).glob("terraform-provider-aws*")):
            if os.access(found, os.X_OK):
                return found
    return None


def layout() -> Path:
    """Where in a mirror it lies."""
    return Path("registry.terraform.io", "hashicorp", "aws", TERRAFORM_AWS, f"linux_{architecture()}")


def _mirrors() -> Iterator[Path]:
    if os.environ.get("TF_PLUGIN_CACHE_DIR"):
        yield Path(os.environ["TF_PLUGIN_CACHE_DIR"])
    yield Path.home() / ".terraform.d" / "plugins"
    yield Path.home() / ".terraform.d" / "plugin-cache"
    for root in ROOTS:
        for depth in range(DEEP + 1):
            pattern = "/".join(["*"] * depth + ["registry.terraform.io"])
            try:
                yield from sorted(found.parent for found in root.glob(pattern))
            except OSError:
                continue
