"""Files that are made from product.yaml and the settings."""

from pathlib import Path

import pytest

from infra import generate, product


def test_every_generated_file_is_current() -> None:
    assert generate.stale() == [], "run `make generate`"


def test_a_file_that_is_not_current_is_named_with_the_command_that_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in generate.files():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert f"{product.SCHEMA} is not what its source says: run `make generate`." in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert generate.main(["--chekc"]) == 2
