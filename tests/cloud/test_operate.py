"""A stack that is up, as its operator asks it; and the host's security updates."""

import time

import httpx
import pytest

from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud

DRAIN_SECONDS = 120

RESTART_SECONDS = 180
UPDATE = "slipway-update.service"


def instance_of(up: Checkout) -> str:
    """Return the name of the host's container."""
    return f"{up.cloud.network}-{up.outputs()['apiInstanceId']}"


def test_an_up_ends_with_where_its_time_went(first_up: Done) -> None:
    table = first_up.said.partition("\ntime\n")[2]
    phases = [line.split()[0] for line in table.splitlines() if line.startswith("  ")]
    # A run that was ended may have left its images, which are not built again.
    of_host = [phase for phase in phases if phase not in ("build", "push")]
    assert of_host[:7] == ["prepare", "pull", "migrate", "start", "verify", "switch", "total"]


def test_the_status_is_that_of_the_product(up: Checkout) -> None:
    done = up.run("status")
    assert done.code == 0
    for subject in ("release", "api", "auth", "caddy", "dashboard", "tasks", "queue"):
        assert f"\n  {subject} " in done.said
    assert "0 restarts" in done.said


def test_logs_are_a_services_and_another_name_is_refused_in_a_sentence(up: Checkout) -> None:
    assert '"uri":"/' in up.run("logs", "caddy").said
    assert up.run("cloud-logs", "emulator").code == 0
    refused = up.run("logs", "emulator")
    assert refused.code == 2
    assert 'SERVICE="emulator" is not a service of stack local: use one of api, auth' in refused.said


def test_a_service_is_restarted(up: Checkout) -> None:
    before = up.on_host("dashboard", "inspect", "--format", "{{.State.StartedAt}}", "{}").said
    deadline = time.monotonic() + DRAIN_SECONDS
    while "is under way" in (done := up.run("restart", "dashboard")).said and time.monotonic() < deadline:
        time.sleep(2)  # a release that serves still stops what it replaced
    assert done.code == 0, done.said
    assert up.on_host("dashboard", "inspect", "--format", "{{.State.StartedAt}}", "{}").said != before


def test_updates_that_need_it_restart_the_host_which_serves_again(up: Checkout) -> None:
    host, address = instance_of(up), up.outputs()["apiUrl"]
    booted = up.docker("inspect", "--format", "{{.State.StartedAt}}", host).said
    write = "printf 'kernel6.18\\ncontainerd\\n' > /usr/lib/devcloud/updates"
    assert up.docker("exec", host, "sh", "-c", write).code == 0
    assert up.docker("exec", host, "systemctl", "start", "--no-block", UPDATE).code == 0
    deadline = time.monotonic() + RESTART_SECONDS
    while up.docker("inspect", "--format", "{{.State.StartedAt}}", host).said == booted or not serves(address):
        assert time.monotonic() < deadline, up.docker("exec", host, "journalctl", "-u", UPDATE).said
        time.sleep(1)
    assert up.run("status").code == 0
    assert "updated" not in up.up().said


def serves(address: str) -> bool:
    """Return whether the product answers."""
    try:
        answer = httpx.get(f"{address}/api/health", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
