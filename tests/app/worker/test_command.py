"""The worker as a command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.services


def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-m", "app.worker", *arguments],
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_missing_setting_is_one_sentence_and_no_traceback() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr.startswith("JOBS_QUEUE_URL is not set in the environment: give it an address like https://")
    assert done.stderr.count("\n") == 1


def test_the_self_test_fails_in_one_line_without_a_model(tmp_path: Path) -> None:
    done = run("--self-test", "--model", str(tmp_path))
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["error"]
    assert done.stderr == ""


def test_the_health_check_loads_neither_the_model_nor_the_database_nor_boto() -> None:
    code = (
        "import sys; from app.worker.__main__ import main; main(['--health']); "
        "print([name for name in ('numpy', 'onnxruntime', 'sqlalchemy', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


def test_one_thing_is_asked_of_the_command_at_a_time() -> None:
    done = run("--categorise", "--extract")
    assert done.returncode == 2
    assert "not allowed with argument --categorise" in done.stderr
