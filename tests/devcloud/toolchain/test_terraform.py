"""The places in which a Terraform AWS provider is looked for."""

from pathlib import Path

import pytest

from devcloud.toolchain import terraform


def _mirror(root: Path, mode: int = 0o755) -> Path:
    binary = root / terraform.layout() / "terraform-provider-aws_v5.100.0_x5"
    binary.parent.mkdir(parents=True)
    binary.touch()
    binary.chmod(mode)
    return binary


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "ROOTS", (tmp_path / "opt",))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TF_PLUGIN_CACHE_DIR", raising=False)


def test_a_mirror_below_the_root_for_optional_software_is_found(tmp_path: Path) -> None:
    binary = _mirror(tmp_path / "opt" / "vendor" / "tf-plugins")
    assert terraform.provider() == binary


def test_terraforms_own_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _mirror(tmp_path / "opt" / "tf-plugins")
    own = _mirror(tmp_path / "home" / ".terraform.d" / "plugins")
    assert terraform.provider() == own
    cached = _mirror(tmp_path / "shared")
    monkeypatch.setenv("TF_PLUGIN_CACHE_DIR", str(tmp_path / "shared"))
    assert terraform.provider() == cached


def test_what_cannot_be_run_is_no_provider(tmp_path: Path) -> None:
    _mirror(tmp_path / "opt", mode=0o644)
    assert terraform.provider() is None
