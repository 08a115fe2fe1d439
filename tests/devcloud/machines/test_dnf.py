"""The stand-ins for dnf and grubby: security updates, the kernel of the next boot, and what they refuse."""

import platform
from pathlib import Path

import pytest

from devcloud.machines.image import dnf, grubby

UPGRADE = ["upgrade", "--assumeyes", "--security", "--releasever=latest"]
CHECK = ["check-update", "--security", "--releasever=latest"]
KERNEL = ["--default-kernel"]
DOCKER = ["docker", "containerd", "runc"]


@pytest.fixture
def updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the updates, on a machine that has just booted."""
    monkeypatch.setattr(dnf, "UPDATES", tmp_path / "updates")
    monkeypatch.setattr(dnf, "UPDATED", tmp_path / "run" / "updated")
    monkeypatch.setattr(grubby, "UPDATED", tmp_path / "run" / "updated")
    monkeypatch.setattr(dnf, "DOWNLOADED", tmp_path / "run" / "downloaded")
    monkeypatch.setattr(dnf, "STORE", tmp_path / "store")
    monkeypatch.setattr(dnf, "BOOT", tmp_path / "boot")
    (tmp_path / "store" / "docker").mkdir(parents=True)
    (tmp_path / "store" / "docker" / ".installed").touch()
    return tmp_path / "updates"


def test_without_an_update_there_is_nothing_to_do(updates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dnf.main(UPGRADE) == 0
    assert capsys.readouterr().out == "Nothing to do.\nComplete!\n"
    assert dnf.main(["needs-restarting", "--reboothint"]) == 0


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that dnf's scripts give to systemd."""
    asked: list[list[str]] = []
    monkeypatch.setattr(dnf.subprocess, "run", lambda command, **_: asked.append(command))
    return asked


def test_a_core_package_needs_a_restart_until_the_next_boot(updates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    updates.write_text("openssl\nglibc\n")
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == 1
    assert "  * glibc\n" in capsys.readouterr().out
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == 1
    dnf.UPDATED.unlink()
    assert dnf.main(["needs-restarting", "-r"]) == 0


def default_kernel(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert grubby.main(KERNEL) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("package", "known"), [("kernel6.18", 0), ("kernel", 1)])
def test_only_grubby_knows_a_kernel_of_a_package_with_a_version_in_its_name(
    updates: Path, capsys: pytest.CaptureFixture[str], package: str, known: int
) -> None:
    running = f"/boot/vmlinuz-{platform.release()}\n"
    assert default_kernel(capsys) == running
    updates.write_text(f"{package}\n")
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == known
    following = default_kernel(capsys).strip()
    assert following not in ("", running.strip())
    assert (dnf.BOOT / f"initramfs-{Path(following).name.removeprefix('vmlinuz-')}.img").stat().st_size
    dnf.UPDATED.unlink()
    assert default_kernel(capsys) == running


@pytest.mark.parametrize("arguments", [[], ["--set-default", "/boot/vmlinuz"], ["--default-kernel", "--info=ALL"]])
def test_grubby_refuses_anything_else(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert grubby.main(arguments) == 1
    assert capsys.readouterr().err


def test_excluded_packages_wait(updates: Path, systemctl: list[list[str]]) -> None:
    updates.write_text("openssl\ncontainerd\n")
    assert dnf.main([*UPGRADE, "--exclude=docker,containerd,runc"]) == 0
    assert updates.read_text() == "containerd\n"
    assert dnf.main([*CHECK, *DOCKER]) == 100
    assert dnf.main([*CHECK, "openssl"]) == 0
    assert systemctl == []


def test_a_downloaded_docker_is_installed_without_the_network_and_restarts(
    updates: Path, systemctl: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    updates.write_text("openssl\ndocker\n")
    assert dnf.main([*UPGRADE, "--cacheonly", *DOCKER]) == 1
    assert "Cache-only enabled but no cache for" in capsys.readouterr().err
    assert dnf.main([*UPGRADE, "--downloadonly", *DOCKER]) == 0
    assert updates.read_text() == "openssl\ndocker\n"
    assert dnf.main([*UPGRADE, "--cacheonly", *DOCKER]) == 0
    assert updates.read_text() == "openssl\n"
    assert dnf.main([*CHECK, *DOCKER]) == 0
    assert systemctl == [["systemctl", "try-restart", "docker.service"]]


def test_a_package_that_is_not_installed_cannot_be_upgraded(updates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dnf.main([*UPGRADE, "podman"]) == 1
    assert "No match for argument: podman" in capsys.readouterr().out


def test_another_package_needs_no_restart(updates: Path) -> None:
    updates.write_text("openssl\n")
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == 0


def test_a_system_that_is_locked_to_its_release_gets_nothing(updates: Path) -> None:
    updates.write_text("kernel\n")
    assert dnf.main(["upgrade", "--assumeyes", "--security"]) == 0
    assert updates.read_text() == "kernel\n"


def test_nobody_answers_a_question(updates: Path) -> None:
    updates.write_text("kernel\n")
    assert dnf.main(["upgrade", "--security", "--releasever=latest"]) == 1
    assert updates.is_file()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["upgrade", "--assumeyes", "--releasever=latest", "--nobest"], 2),
        (["check-update", "--assumeyes"], 2),
        (["install", "--enablerepo=x", "docker"], 2),
        (["remove", "docker"], 1),
        (["needs-restarting"], 1),
        ([], 1),
    ],
)
def test_anything_else_is_refused(
    updates: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert dnf.main(arguments) == code
    assert capsys.readouterr().err
