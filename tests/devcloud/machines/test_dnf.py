"""The stand-in for dnf: security updates, and what it refuses."""

from pathlib import Path

import pytest

from devcloud.machines.image import dnf

UPGRADE = ["upgrade", "--assumeyes", "--security", "--releasever=latest"]


@pytest.fixture
def updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the updates, on a machine that has just booted."""
    monkeypatch.setattr(dnf, "UPDATES", tmp_path / "updates")
    monkeypatch.setattr(dnf, "UPDATED", tmp_path / "run" / "updated")
    return tmp_path / "updates"


def test_without_an_update_there_is_nothing_to_do(updates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dnf.main(UPGRADE) == 0
    assert capsys.readouterr().out == "Nothing to do.\nComplete!\n"
    assert dnf.main(["needs-restarting", "--reboothint"]) == 0


def test_an_updated_kernel_needs_a_restart_until_the_next_boot(
    updates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    updates.write_text("openssl\nkernel\n")
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == 1
    assert "  * kernel\n" in capsys.readouterr().out
    assert dnf.main(UPGRADE) == 0
    assert dnf.main(["needs-restarting", "-r"]) == 1
    dnf.UPDATED.unlink()
    assert dnf.main(["needs-restarting", "-r"]) == 0


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
        (["upgrade", "--assumeyes", "docker"], 2),
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
