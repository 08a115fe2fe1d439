"""Go builds: what is pinned, what steers them, when one is made anew."""

import shutil
from pathlib import Path

import pytest

from devcloud.toolchain import golang, versions
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError

PINNED = [
    (golang.PULUMI, "github.com/pulumi/pulumi/pkg/v3", versions.PULUMI),
    (golang.DOCKER_BUILD, "github.com/pulumi/pulumi-docker-build", versions.DOCKER_BUILD),
    (golang.BUILDKIT, "github.com/moby/buildkit", versions.BUILDKIT),
    (golang.BUILDX, "github.com/docker/buildx", versions.BUILDX),
    (golang.PEBBLE, "github.com/letsencrypt/pebble/v2", versions.PEBBLE),
    (golang.BRIDGE, "github.com/pulumi/pulumi-terraform-bridge/v3", versions.BRIDGE),
]


@pytest.mark.parametrize(("program", "module", "version"), PINNED)
def test_each_module_pins_the_version_that_we_name(program: golang.Program, module: str, version: str) -> None:
    folder = golang.MODULES / program.module
    assert f"{module} v{version}" in (folder / "go.mod").read_text()
    assert f"{module} v{version} h1:" in (folder / "go.sum").read_text()


@pytest.mark.parametrize("program", [program for program, _, _ in PINNED])
def test_no_module_asks_for_a_newer_go_than_we_look_for(program: golang.Program) -> None:
    wanted = [
        line.split()[1]
        for line in (golang.MODULES / program.module / "go.mod").read_text().splitlines()
        if line.startswith("go ")
    ]
    assert [tuple(map(int, version.split(".")))[:2] for version in wanted] == [versions.GO]


def _copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    modules = tmp_path / "go"
    shutil.copytree(golang.MODULES, modules)
    monkeypatch.setattr(golang, "MODULES", modules)
    return modules


def test_a_changed_module_is_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = _copy(tmp_path, monkeypatch)
    before = golang.DOCKER_BUILD.recipe()
    assert golang.DOCKER_BUILD.recipe() == before
    (modules / "docker-build" / "java" / "pkg" / "codegen" / "java" / "info.go").write_text("package java\n")
    assert golang.DOCKER_BUILD.recipe() != before
    assert golang.BUILDKIT.recipe() == golang.BUILDKIT.recipe()


def test_nothing_of_the_shell_changes_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-tags=netgo -mod=mod")
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    environment = golang.environment(tmp_path)
    assert environment["GOFLAGS"] == ""
    assert environment["CGO_ENABLED"] == "0"
    assert "GOOS" not in environment
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["GOMODCACHE"] == str(tmp_path / "go" / "mod")


def _go(tmp_path: Path, script: str) -> Path:
    go = tmp_path / "fake-go"
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(0o755)
    return go


def test_a_build_is_made_once(tmp_path: Path) -> None:
    # `go build ... -o FOLDER/ tool`: the last word but one is the folder.
    counting = (
        f'echo made >> {tmp_path}/count; for word in "$@"; do case $word in */) touch "${{word}}dynamic";; esac; done'
    )
    go = _go(tmp_path, counting)
    work = Work(lambda _text: None)
    folder, origin = golang.build(golang.BRIDGE, tmp_path, go, work)
    assert (folder / "pulumi-resource-terraform-provider").exists()
    assert origin.startswith("built from its Go module in ")
    assert golang.build(golang.BRIDGE, tmp_path, go, work) == (folder, "built from its Go module")
    assert golang.built(golang.BRIDGE, tmp_path) == folder
    assert (tmp_path / "count").read_text() == "made\n"


def test_a_failed_build_leaves_nothing_and_says_what_go_said(tmp_path: Path) -> None:
    go = _go(tmp_path, "echo 'dial tcp: no route to host'; exit 1")
    with pytest.raises(UserError, match=r"buildkit .* could not be built .*no route to host.*GOPROXY"):
        golang.build(golang.BUILDKIT, tmp_path, go, Work(lambda _text: None))
    assert golang.built(golang.BUILDKIT, tmp_path) is None
    assert list((tmp_path / "toolchain" / "parts").iterdir()) == []


@pytest.mark.parametrize(("said", "fits"), [("go1.26.0", True), ("go1.27.3", True), ("go1.19.8", False)])
def test_a_go_must_be_new_enough(tmp_path: Path, said: str, fits: bool) -> None:
    assert golang.fits(_go(tmp_path, f"echo {said}")) is fits
