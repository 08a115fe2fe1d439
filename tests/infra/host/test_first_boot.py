"""The first boot: Docker is installed while the SSM agent already takes releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.host.fake import make, release_text
from tests.infra.host.test_deploy import deployed, journal_of


@pytest.mark.parametrize("missing", ["docker", "iptables"])
def test_a_release_waits_until_docker_is_installed(missing: str, tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    begun = machine.time
    machine.installed_at[missing] = begun + 100
    verdict = deployed(host, release_text(1))
    assert verdict["cause"] == ""
    lines = journal_of(host, host.store.kept()[0].release.id).lines
    waits = [line for line in lines if line.startswith(f"waiting for Docker: {missing} is not installed")]
    assert len(waits) == 6
    assert waits[0].endswith((" ... 15 s", " ... 16 s"))


def test_a_release_waits_until_docker_is_started(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    machine.docker_away_until = machine.time + 100
    assert deployed(host, release_text(1))["cause"] == ""


def test_a_host_without_docker_refuses_the_release_after_600_s(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    begun = machine.time
    machine.installed_at["docker"] = begun + 10_000
    verdict = deployed(host, release_text(1))
    assert verdict["step"] == "check"
    assert verdict["cause"].startswith("Docker was not ready within 600 s (docker is not installed): look at")
    assert 600 <= machine.time - begun < 620
    assert host.store.open_release() is None
    machine.installed_at.clear()
    assert deployed(host, release_text(2))["cause"] == ""
