"""The front end's own checks: its types, its unit tests, its lock, and that a build can be repeated."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.web.conftest import WEB

pytestmark = pytest.mark.services

Npm = Callable[..., subprocess.CompletedProcess[str]]


def test_the_types_are_right(npm: Npm) -> None:
    done = npm("run", "check")
    assert done.returncode == 0, done.stdout


def test_the_unit_tests_pass(npm: Npm) -> None:
    done = npm("test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Tests\s+\d+ passed", done.stdout), done.stdout


def test_the_lock_has_a_hash_of_every_package_and_an_address_of_none() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed.values())
    assert not [name for name, package in installed.items() if "resolved" in package]


def test_every_version_is_pinned() -> None:
    package = json.loads((WEB / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


def test_the_same_source_gives_the_same_bytes(npm: Npm, built: Path, tmp_path: Path) -> None:
    assert npm("run", "build", "--", "--outDir", str(tmp_path), "--emptyOutDir").returncode == 0

    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert files(tmp_path) == files(built)


def test_what_is_worth_it_is_there_compressed_too(built: Path) -> None:
    for asset in (built / "assets").iterdir():
        if asset.suffix in (".js", ".css") and asset.stat().st_size >= 1024:
            assert (
                asset.with_name(f"{asset.name}.br").stat().st_size < asset.with_name(f"{asset.name}.gz").stat().st_size
            )


def test_the_page_asks_no_other_host_for_anything(built: Path) -> None:
    page = (built / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^"]+)"', page)
    assert not re.search(r'(?:src|href)="(?!/[^/])', page)
    assert "url(http" not in "".join(style.read_text() for style in built.glob("assets/*.css"))
