"""The host's program runs under Python 3.9, Amazon Linux 2023's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import ROOT

FOLDERS = (Path.home() / ".pyenv/versions", Path("/opt/pyenv/versions"))


def python39() -> str | None:
    """Return the path of a Python 3.9 of this machine."""
    found = [str(file) for folder in FOLDERS for file in folder.glob("3.9.*/bin/python")]
    return next(iter(found), shutil.which("python3.9"))


def test_nothing_newer_than_python_3_9_is_used() -> None:
    vermin = Path(sys.executable).parent / "vermin"
    done = subprocess.run(
        [str(vermin), "--target=3.9-", "--no-tips", "--violations", str(ROOT / "infra/host")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.services
def test_the_unit_tests_pass_under_python_3_9(tmp_path: Path) -> None:
    python = python39()
    if python is None:
        pytest.skip("this machine has no Python 3.9")
    uv = str(Path(sys.executable).parent / "uv")
    venv = tmp_path / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(venv)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(venv / "bin/python"), "pytest"], check=True)
    done = subprocess.run(
        [
            *(str(venv / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest"),
            *("-o", "addopts=", "-m", "not services", "-k", "not python_3_9", str(ROOT / "tests/infra/host")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout
