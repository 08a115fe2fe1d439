"""Commands that devcloud runs: what is printed of them, and how a failure is told."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.util.console import MachineError, UserError
from devcloud.util.processes import masked, output, traced

NOT_TRACED = ("bootstrap.py", "emulator", "plugins")
"""What runs without util, and processes whose standard error is not the user's."""


def test_each_command_is_printed_before_it_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("V", "1")
    assert output(["sh", "-c", "printf %s $TOKEN >&2"], env={"TOKEN": "value"}, stdin="typed") == ""
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == "+ sh -c 'printf %s $TOKEN >&2'\n"


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_v_no_command_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str | None
) -> None:
    monkeypatch.delenv("V", raising=False)
    if value is not None:
        monkeypatch.setenv("V", value)
    assert traced(["true"]) == ["true"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["git", "clone", "https://me:secret@host/x@1"], ["git", "clone", "https://***@host/x@1"]),
        (["pulumi", "up", "--config", "a:b=s=t", "-c", "k=s"], ["pulumi", "up", "--config", "a:b=***", "-c", "k=***"]),
        (["/bin/pulumi", "up", "--config=a:b=s\nt", "-ck=s"], ["/bin/pulumi", "up", "--config=a:b=***", "-ck=***"]),
        (["pulumi", "up", "--config-file", "P=1.yaml"], ["pulumi", "up", "--config-file", "P=1.yaml"]),
        (["psql", "-c", "SELECT 1 = 1"], ["psql", "-c", "SELECT 1 = 1"]),
    ],
)
def test_no_secret_of_an_argument_is_printed(command: list[str], shown: list[str]) -> None:
    assert masked(command) == shown


def starts(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls that start a process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
            yield node


@pytest.mark.parametrize("file", sorted((ROOT / "devcloud").rglob("*.py")), ids=lambda file: file.stem)
def test_every_command_is_traced(file: Path) -> None:
    if file.relative_to(ROOT / "devcloud").parts[0] not in NOT_TRACED:
        for call in starts(ast.parse(file.read_text())):
            assert ast.unparse(call.args[0]).startswith("traced("), ast.unparse(call)


def test_a_missing_program_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="no-such-program is not on this machine"):
        output(["no-such-program"])


def test_a_failure_is_told_with_the_end_of_what_was_said() -> None:
    with pytest.raises(UserError, match=r"failed \(exit 3\): b$") as error:
        output([sys.executable, "-c", "import sys; print('b', file=sys.stderr); sys.exit(3)"])
    assert error.value.exit_code == 1
