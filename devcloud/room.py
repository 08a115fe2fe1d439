"""Room on the disk for a base with the package registry's PyTorch, asked for before anything of it is fetched.

A disk that fills up while an image is exported fails in the registry, minutes later, and the error says nothing of it.
"""

import shutil

from devcloud.console import Refusal
from devcloud.registry import RegistryReader
from devcloud.stack import Stack
from infra.lib import base_version
from infra.lib.build_plan import plan_builds
from infra.settings import ROOT

PYPI_BASE_GB = 35
"""Free disk for it. Measured: 30 GB are taken at the most, CUDA's libraries once each as downloaded, installed, as a
layer, and compressed in the image and in the registry cache."""


def ask_for_it(stack: Stack, registry: RegistryReader) -> None:
    """Raises Refusal where a stack will build such a base, the registry has none yet, and the disk has no room."""
    cache = stack.cloud.cache
    free_gb = shutil.disk_usage(cache).free / 1e9
    if free_gb >= PYPI_BASE_GB:
        return
    settings = stack.settings()
    images = settings.images
    if not images.builds or images.base_version is not None or images.torch.source_in(ROOT) != "pypi":
        return
    tag = plan_builds(settings, ROOT)[base_version.IMAGE].content_tag
    if registry.digest(f"{settings.registry.namespace}/{base_version.IMAGE}", tag) is None:
        raise Refusal(
            f"{cache} is on a disk with {free_gb:.1f} GB free, and a base with PyPI's PyTorch needs {PYPI_BASE_GB} GB "
            "while it is built: free some, name a folder on another disk with SLIPWAY_CACHE, or have a wheel of CPU "
            f"torch where slipway:images.torch.wheels says ({images.torch.wheels})."
        )
