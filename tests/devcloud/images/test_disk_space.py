"""A base with PyPI's PyTorch is refused before its build where the disk has no room for it."""

from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.images import disk_space
from devcloud.images.registry import RegistryReader
from devcloud.util.console import UserError
from infra import settings as settings_module
from infra.settings import Settings
from tests.devcloud.disk import Disk

LOCAL = settings_module.load_file(ROOT / "Pulumi.local.yaml", "local", ROOT)


class OneRegistry(RegistryReader):
    """A registry that has every image, or none."""

    def __init__(self, cache: Path, *, full: bool) -> None:
        super().__init__(Cloud("room", cache))
        self._full = full

    def digest(self, repository: str, reference: str) -> str | None:
        assert repository == "slipway-local/base"
        return f"sha256:{reference}" if self._full else None


def with_torch(torch_source: str, **images: object) -> Settings:
    torch = LOCAL.images.torch.model_copy(update={"source": torch_source})
    return LOCAL.model_copy(update={"images": LOCAL.images.model_copy(update={"torch": torch, **images})})


@pytest.fixture(autouse=True)
def _almost_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(100e9, 74e9, 26e9))


def test_it_is_refused_with_what_is_free_what_is_needed_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"26.0 GB free, and a base with PyPI's PyTorch needs {disk_space.PYPI_BASE_GB} GB"
    ):
        disk_space.check(tmp_path, lambda: with_torch("pypi"), OneRegistry(tmp_path, full=False))


def test_one_that_is_in_the_registry_needs_no_room(tmp_path: Path) -> None:
    disk_space.check(tmp_path, lambda: with_torch("pypi"), OneRegistry(tmp_path, full=True))


@pytest.mark.parametrize(
    "settings",
    [with_torch("cpu-index"), with_torch("pypi", base_version="1.0.0"), with_torch("pypi", source="release")],
    ids=["CPU torch", "a pinned base", "a release"],
)
def test_whoever_builds_no_such_base_needs_no_room(tmp_path: Path, settings: Settings) -> None:
    disk_space.check(tmp_path, lambda: settings, OneRegistry(tmp_path, full=False))


def test_a_disk_with_room_is_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread() -> Settings:
        raise AssertionError("nothing depends on the settings")

    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(100e9, 0, 100e9))
    disk_space.check(tmp_path, unread, OneRegistry(tmp_path, full=False))
