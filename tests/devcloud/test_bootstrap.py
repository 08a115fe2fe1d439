"""The start of every command: a machine without what the Python environment needs."""

import subprocess

import pytest

from devcloud import bootstrap


def test_an_old_python_ends_with_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 10))
    with pytest.raises(SystemExit) as end:
        bootstrap.main()
    assert end.value.code == 3
    assert capsys.readouterr().err.startswith("slipway needs Python 3.11 or newer")


def test_an_environment_that_cannot_be_made_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(1, ["python", "-m", "venv"])

    monkeypatch.setattr(bootstrap, "environment", fail)
    with pytest.raises(SystemExit) as end:
        bootstrap.main()
    assert end.value.code == 3
    assert "python -m venv ... failed (exit 1)" in capsys.readouterr().err
