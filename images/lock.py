"""Make the images' locks: `make lock`.

    python images/lock.py [--wheels DIR] [--upgrade]

Every lock is made from one `.in` file, names a hash for each package and no address of any registry. A lock
stays as it is for as long as its input does; `--upgrade` takes the newest versions instead. Its first line
holds a checksum of its input, so that a test can tell, without any network, that a lock is current.

Needs the package registry and `uv`, which is beside the Python that runs this.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where the CPU build of torch is found on machines that cannot reach PyTorch's own index.
WHEELS = ROOT.parent / "shared" / "wheels"
CPU_TORCH = "2.13.0+cpu"


@dataclass(frozen=True)
class Lock:
    """One lock. Paths are relative to the repository; `like` is a lock whose versions this one shares."""

    path: str
    source: str
    like: str | None = None
    excluded: str | None = None
    cpu_torch: bool = False

    def inputs(self, root: Path = ROOT) -> str:
        """A checksum of what the lock is made from."""
        sources = [name for name in (self.source, self.excluded) if name]
        return hashlib.sha256(b"\0".join((root / name).read_bytes() for name in sources)).hexdigest()[:16]

    def header(self, root: Path = ROOT) -> str:
        """The lock's first line."""
        return f"# Made by `make lock` from {self.source} (inputs {self.inputs(root)}). Do not edit."


PYPI, CPU = "images/base/requirements-pypi.lock", "images/base/requirements-cpu.lock"
# In this order: a lock comes after the one that it is like.
LOCKS = (
    Lock("images/base/installer.lock", "images/base/installer.in"),
    Lock("images/worker/installer.lock", "images/worker/installer.in"),
    Lock("images/api/installer.lock", "images/api/installer.in"),
    Lock(PYPI, "images/base/requirements.in"),
    Lock(CPU, "images/base/requirements.in", like=PYPI, cpu_torch=True),
    # Like no other: were it to follow the base, a change of the base would fetch the models again.
    Lock("images/worker/requirements-fetch.lock", "images/worker/requirements-fetch.in"),
    Lock("images/worker/requirements-export.lock", "images/worker/requirements-export.in", like=PYPI),
    Lock(
        "images/worker/requirements.lock",
        "images/worker/requirements.in",
        like="images/worker/requirements-export.lock",
        excluded="images/worker/requirements-excluded.txt",
    ),
    Lock(
        "images/api/requirements.lock",
        "images/api/requirements.in",
        excluded="images/api/requirements-excluded.txt",
    ),
)


def compile_lock(lock: Lock, wheels: Path, upgrade: bool) -> None:
    """Resolve one lock and write it. Raises CalledProcessError, uv's own message above it."""
    target = ROOT / lock.path
    command = [
        str(Path(sys.executable).with_name("uv")),
        *("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--no-emit-index-url", "--no-emit-find-links"),
        *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
        *("--output-file", lock.path, lock.source),
    ]
    if lock.like:
        command += ["--constraints", lock.like]
    if lock.excluded:
        command += ["--excludes", lock.excluded]
    if lock.cpu_torch:
        command += ["--find-links", str(wheels)]
    if upgrade:
        command += ["--upgrade"]
    # A setting of the machine's own (an extra index, a folder of wheels) must not get into a lock.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_FIND", "UV_EXTRA"))}
    subprocess.run(command, check=True, cwd=ROOT, env=clean)
    target.write_text(f"{lock.header()}\n{body(target.read_text())}")


def body(text: str) -> str:
    """A lock without its comments."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def main() -> int:
    """Make all locks; 1 if one could not be made."""
    parser = argparse.ArgumentParser(description="Make the images' locks.")
    parser.add_argument("--wheels", type=Path, default=WHEELS, help=f"folder with torch {CPU_TORCH} ({WHEELS})")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions of everything")
    options = parser.parse_args()
    if not list(options.wheels.glob(f"torch-{CPU_TORCH}-*.whl")):
        sys.stderr.write(
            f"There is no torch-{CPU_TORCH} wheel in {options.wheels}: give its folder with --wheels DIR.\n"
        )
        return 1
    for lock in LOCKS:
        try:
            compile_lock(lock, options.wheels.resolve(), options.upgrade)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{lock.path} could not be made from {lock.source}: uv left with {error.returncode}.\n")
            return 1
        text = (ROOT / lock.path).read_text()
        if lock.cpu_torch and f"torch=={CPU_TORCH}" not in text:
            sys.stderr.write(f"{lock.path} does not hold torch {CPU_TORCH}: look at the wheel in {options.wheels}.\n")
            return 1
        sys.stdout.write(f"{lock.path}: {text.count('==')} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
