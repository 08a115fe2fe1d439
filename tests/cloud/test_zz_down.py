"""The end: nothing is left. Its name keeps it last, for it ends the session's cloud."""

import subprocess
from pathlib import Path

import pytest

from tests.cloud.conftest import CLOUD, Checkout, Done

pytestmark = pytest.mark.cloud


def test_down_leaves_no_resource_no_process_no_container_and_no_mount(checkout: Checkout, first_up: Done) -> None:
    checkout.restore()
    for stack in ("prod", "dev"):
        assert checkout.run("down", stack=stack).code == 0
    done = checkout.run("down")
    assert done.code == 0, done.said
    assert "empty but for" in done.said
    folder = str(checkout.cloud.folder)
    mine = str(Path("/proc/self").resolve().name)
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != mine:
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            assert folder not in command or "pytest" in command, command
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if f"{folder}/" in line]
    if Path("/var/run/docker.sock").exists():
        docker = ["docker", "ps", "--all", "--quiet", "--filter", f"label=slipway.cloud={CLOUD}"]
        assert subprocess.run(docker, capture_output=True, text=True, check=False).stdout == ""
