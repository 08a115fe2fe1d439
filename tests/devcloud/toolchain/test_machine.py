"""What is said before a run that this machine cannot do."""

from pathlib import Path

import pytest

from devcloud.toolchain import assembly, debian, golang, machine, official, terraform
from devcloud.toolchain.machine import check_machine
from tests.devcloud.disk import Disk


@pytest.fixture(autouse=True)
def _able_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can do everything; each test takes one thing away."""
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: Disk(100e9, 0, 100e9))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(assembly, "is_ready", lambda _cache: False)
    monkeypatch.setattr(assembly, "missing_packages", lambda _cache: [])
    monkeypatch.setattr(assembly, "running_engine", lambda _cache: False)
    monkeypatch.setattr(official, "reachable", lambda _host: False)
    monkeypatch.setattr(terraform, "provider", lambda: Path("/opt/provider"))
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho v3.259.0\n")
    go.chmod(0o755)
    monkeypatch.setattr(golang, "find", lambda _cache: go)


def test_an_able_machine_has_no_problem(tmp_path: Path) -> None:
    assert check_machine(tmp_path / "cache") == []


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: Disk(100e9, 88e9, 12e9))
    (problem,) = check_machine(tmp_path / "cache")
    assert "12.0 GB free, and this run needs 15 GB" in problem
    assert "SLIPWAY_CACHE" in problem
    monkeypatch.setattr(assembly, "is_ready", lambda _cache: True)
    assert check_machine(tmp_path / "cache") == []


def test_a_user_who_is_not_root_learns_why_that_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(assembly, "missing_packages", lambda _cache: ["runc"])
    (problem,) = check_machine(tmp_path)
    assert problem.startswith("This run must be root to install runc and to start a Docker engine and to run BuildKit")


def test_a_package_mirror_out_of_reach_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "missing_packages", lambda _cache: ["docker.io", "runc"])
    monkeypatch.setattr(debian, "available", lambda: True)
    monkeypatch.setattr(debian, "cannot_download", lambda _packages: "Could not resolve the mirror")
    (problem,) = check_machine(tmp_path)
    assert "docker.io, runc must be installed" in problem
    assert "Could not resolve the mirror" in problem


def test_a_machine_without_apt_must_bring_the_programs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "missing_packages", lambda _cache: ["runc"])
    monkeypatch.setattr(debian, "available", lambda: False)
    assert check_machine(tmp_path) == ["This machine lacks runc and has no apt-get: install them by its own means."]


def test_a_go_proxy_out_of_reach_is_a_problem_only_where_something_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'dial tcp: lookup proxy: no such host' >&2\nexit 1\n")
    (problem,) = check_machine(tmp_path / "cache")
    assert "pulumi 3.259.0, docker-build 0.0.22" in problem
    assert "no such host" in problem
    assert "GOPROXY" in problem
    monkeypatch.setattr(official, "reachable", lambda _host: True)
    assert check_machine(tmp_path / "cache") == []


def test_a_go_proxy_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(machine, "NETWORK_SECONDS", 0.2)
    (problem,) = check_machine(tmp_path / "cache")
    assert "no answer within 0.2 s" in problem


def test_no_aws_provider_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "provider", lambda: None)
    (problem,) = check_machine(tmp_path / "cache")
    assert problem.startswith("There is no AWS provider for Pulumi here")
