"""Commands that devcloud runs, and processes: which one runs, which one it is, and how a group ends."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devcloud.bootstrap import ROOT
from devcloud.util.console import MachineError, UserError
from devcloud.util.processes import (
    alive,
    command_line,
    end_group,
    is_same,
    masked,
    output,
    started_at,
    traced,
    unmount_below,
    wait_for_end,
)
from devcloud.util.waiting import wait_until
from tests.sources import tree_of

NOT_TRACED = ("bootstrap.py", "emulator", "machines", "plugins")
"""Modules that run without util, and processes whose standard error is not the user's."""


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
        for call in starts(tree_of(file)):
            assert ast.unparse(call.args[0]).startswith("traced("), ast.unparse(call)


def test_a_missing_program_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="no-such-program is not on this machine"):
        output(["no-such-program"])


def test_a_failure_is_told_with_the_end_of_what_was_said() -> None:
    with pytest.raises(UserError, match=r"failed \(exit 3\): b$") as error:
        output([sys.executable, "-c", "import sys; print('b', file=sys.stderr); sys.exit(3)"])
    assert error.value.exit_code == 1


def test_a_process_that_nobody_reaped_does_not_run() -> None:
    zombie = subprocess.Popen(["true"])
    try:
        assert wait_for_end([zombie.pid], 5)
        assert Path(f"/proc/{zombie.pid}").exists()
        assert command_line(zombie.pid) == ""
    finally:
        zombie.wait()
    assert not alive(zombie.pid)
    assert started_at(zombie.pid) == ""


def test_the_start_of_a_process_is_the_kernels_own_count_whatever_the_clock_says() -> None:
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert int(started_at(os.getpid())) == int(ticks) * 100 // os.sysconf("SC_CLK_TCK")


def test_another_process_with_the_same_id_is_not_the_same() -> None:
    assert is_same(os.getpid(), started_at(os.getpid()))
    assert not is_same(os.getpid(), "1")
    assert not is_same(os.getpid(), "")


def test_a_process_is_known_by_its_command_line() -> None:
    assert "pytest" in command_line(os.getpid())
    assert command_line(0) == ""


@pytest.mark.services
def test_a_group_that_does_not_listen_is_killed() -> None:
    deaf = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.write(1, f'{os.fork()}\\n'.encode())\ntime.sleep(60)"
    )
    leader = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout
    member = max(int(leader.stdout.readline()), int(leader.stdout.readline()))
    end_group(leader.pid, signal.SIGTERM, 0.2)
    assert leader.wait() == -signal.SIGKILL
    assert wait_until(lambda: not alive(member), 5)


MOUNTS = r"""proc /proc proc rw 0 0
tmpfs /home/a\040b/cache/run tmpfs rw 0 0
tmpfs /home/a\040b/cache/run/inner tmpfs rw 0 0
tmpfs /home/a\040b/cache-of-another tmpfs rw 0 0
overlay /var/lib/merged overlay rw,lowerdir=/lower,upperdir=/home/a\040b/cache/upper,workdir=/work 0 0
"""
"""As the kernel writes them: a blank in a path is `\\040`."""


def test_mounts_below_a_folder_with_a_blank_in_its_name_are_unmounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    unmounted: list[str] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: unmounted.append(command[-1]))
    unmount_below(Path("/home/a b/cache"))
    assert unmounted == ["/var/lib/merged", "/home/a b/cache/run/inner", "/home/a b/cache/run"]
