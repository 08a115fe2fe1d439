"""The Makefile and the README list each command of devcloud by the description at its declaration."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.cli import main
from devcloud.cli.context import cli

TARGETS = dict(re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
"""The text of each target of `make help`. In parentheses at its end: how make is called for it."""


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_target_says_what_its_command_says(name: str) -> None:
    description = (cli.commands[name].help or "").splitlines()[0]
    assert description.endswith(".")
    assert re.sub(r" \(.*\)$", "", TARGETS[name]) == description.removesuffix(".")


def test_the_readme_lists_the_targets_as_make_help_does() -> None:
    listed = "".join(f"    {name:<15} {text}\n" for name, text in TARGETS.items())
    assert f"## Commands\n\n{listed}\n" in (ROOT / "README.md").read_text()


def test_every_target_calls_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    for name, command in cli.commands.items():
        monkeypatch.setattr(command, "callback", lambda name=name, **_: called.append(name))
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    given = ["ARGS=--expect-no-changes", "IMAGE=api", "SERVICE=api", "NAME=emulator", "VERSION=1.2.0"]
    targets = [*cli.commands, *given]
    printed = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *targets],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in printed.splitlines():
        monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
        assert main.main() == 0, line
    assert called == list(cli.commands)
