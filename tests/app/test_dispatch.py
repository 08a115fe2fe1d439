"""SERVICE_TYPE chooses the service."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.__main__ import service_module
from app.common.environment import SettingError
from tests.app import servers

pytestmark = pytest.mark.services


def test_each_service_has_its_module() -> None:
    assert service_module({"SERVICE_TYPE": "api"}) == "app.api.service"
    assert service_module({"SERVICE_TYPE": "dashboard"}) == "app.dashboard.service"
    assert service_module({"SERVICE_TYPE": "auth"}) == "app.auth.service"
    assert service_module({"SERVICE_TYPE": "migrate"}) == "app.migrate.service"


@pytest.mark.parametrize("name", ["worker", "API", "app.api.service"])
def test_an_unknown_service_is_refused_with_the_list(name: str) -> None:
    with pytest.raises(SettingError, match=f"'{name}', which is no service .* one of api, auth, dashboard, migrate"):
        service_module({"SERVICE_TYPE": name})


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-m", "app"],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_process_leaves_with_one_sentence_and_no_traceback() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr == "SERVICE_TYPE is not set in the environment: give it one of api, auth, dashboard, migrate.\n"


def test_sigterm_ends_a_service_that_still_imports() -> None:
    """Which the first process of a container would otherwise not notice until it is killed."""
    folder = servers.folder("dispatch")
    service = servers.Service(folder, "api", {"DATABASE_URL": "postgresql://nowhere/x"})
    process = subprocess.Popen(service.command(), stderr=subprocess.PIPE, text=True)
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=10)[1] == "Stopped by SIGTERM before the service had started.\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - started < 1
    shutil.rmtree(folder)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


def test_migrate_says_why_it_cannot_reach_the_database() -> None:
    done = run(SERVICE_TYPE="migrate", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/labs")
    assert done.returncode == 1
    assert "the database was not migrated" in done.stderr
    assert "hunter2" not in done.stderr
