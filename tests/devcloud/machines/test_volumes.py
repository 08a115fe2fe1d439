"""EBS volumes on this machine: their names on a host, and their files."""

from pathlib import Path

import pytest

from devcloud.machines import volumes
from devcloud.machines.volumes import Volume, Volumes


def test_a_disk_has_the_name_that_xen_gives_it() -> None:
    assert Volume("vol-1", "/dev/sdf", 1).node == "/dev/xvdf"
    assert Volume("vol-1", "/dev/xvdh", 1).node == "/dev/xvdh"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note what losetup is asked for; the device is /dev/null."""
    commands: list[list[str]] = []

    def output(command: list[str]) -> str:
        commands.append(command[1:])
        return "/dev/null\n" if "--find" in command or len(commands) > 2 else ""

    monkeypatch.setattr(volumes, "output", output)
    return commands


def test_a_volume_is_a_file_of_its_size_that_grows_with_it(tmp_path: Path, asked: list[list[str]]) -> None:
    found = Volumes(tmp_path / "volumes")
    assert found.open(Volume("vol-1", "/dev/sdf", 1)) == (1, 3)
    file = tmp_path / "volumes" / "vol-1.img"
    assert (file.stat().st_size, file.stat().st_blocks) == (volumes.GIB, 0)
    found.open(Volume("vol-1", "/dev/sdf", 2))
    assert file.stat().st_size == 2 * volumes.GIB
    assert asked[-1] == ["--set-capacity", "/dev/null"]


def test_a_deleted_volume_leaves_no_file(tmp_path: Path, asked: list[list[str]]) -> None:
    for name in ("vol-1", "vol-2"):
        (tmp_path / f"{name}.img").touch()
    Volumes(tmp_path).forget_all_but({"vol-2"})
    assert [file.name for file in tmp_path.iterdir()] == ["vol-2.img"]
