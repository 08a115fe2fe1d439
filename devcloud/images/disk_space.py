"""Room on the disk for a base with the package registry's PyTorch, asked for before anything of it is fetched.

A disk that fills up while an image is exported fails in the registry, minutes later, and the error says nothing of it.
"""

from collections.abc import Callable
from pathlib import Path

from devcloud.images.registry import RegistryReader
from devcloud.toolchain.machine import disk_problem
from devcloud.util.console import MachineError
from infra import ROOT
from infra.builds.plan import plan_builds
from infra.settings import Settings

PYPI_BASE_GB = 35
"""Free disk for it. Measured: 30 GB are taken at the most, CUDA's libraries once each as downloaded, installed, as a
layer, and compressed in the image and in the registry cache."""


def check(cache: Path, load_settings: Callable[[], Settings], registry: RegistryReader) -> None:
    """Raise MachineError if a stack will build such a base, the registry has none yet, and the disk is too full.

    The settings are loaded only if there is too little space.
    """
    problem = next(disk_problem(cache, PYPI_BASE_GB, "a base with PyPI's PyTorch"), None)
    if problem is None:
        return
    settings = load_settings()
    images = settings.images
    if not images.builds or images.base_version is not None or images.torch.source_in(ROOT) != "pypi":
        return
    builds = plan_builds(settings, ROOT)
    bases = [name for name, image in settings.product.images.items() if image.extra == "torch"]
    if any(
        registry.digest(f"{settings.registry.namespace}/{base}", builds[base].content_tag) is None for base in bases
    ):
        raise MachineError(f"{problem} CPU torch, chosen by {settings.project}:images.torch, needs a tenth of that.")
