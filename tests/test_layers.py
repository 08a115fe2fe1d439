"""The packages hold to their layers: the contracts of import-linter in pyproject.toml."""

import pytest
from importlinter.cli import lint_imports

from infra import ROOT


def test_no_package_imports_one_above_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    broken = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert broken == 0, capsys.readouterr().out
