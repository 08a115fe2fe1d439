"""Make the Python environment that every command runs in, then hand over to `python -m devcloud`.

Standard library only: this file runs on a machine that has nothing but Python. The environment is kept in the
cache folder, keyed by the lock's content and the interpreter, so a second run costs nothing.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
UV = "uv==0.13.9"


def cache_folder() -> Path:
    """The one folder that everything we make is kept in: `SLIPWAY_CACHE`, or `slipway` in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"
    return Path(os.environ.get("SLIPWAY_CACHE") or default).resolve()


def environment() -> Path:
    """The folder of the virtual environment for this lock and this interpreter, made where it is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(LOCK.read_bytes() + version.encode() + sys.executable.encode()).hexdigest()[:12]
    venv = cache_folder() / "python" / key
    if (venv / ".complete").exists():
        return venv
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f"{key}.lock").open("w") as lock, contextlib.ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        if not (venv / ".complete").exists():
            # What we start holds the lock too: if we are killed, the next run waits for it.
            make(venv, lock.fileno())
    return venv


def make(venv: Path, lock: int) -> None:
    """Install the lock, hashes checked, into a fresh environment at `venv`; all that runs holds the file `lock`."""
    started = time.monotonic()
    print("python    installing the locked packages (first run only) ...", file=sys.stderr, flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    # Standard output is kept for the answers of `make -s env` and `make -s outputs`.
    run = functools.partial(subprocess.run, check=True, pass_fds=(lock,), stdout=sys.stderr)
    run([sys.executable, "-m", "venv", str(venv)])
    python = venv / "bin" / "python"
    run([str(python), "-m", "pip", "install", "--quiet", UV])
    uv = [str(venv / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python)]
    offline_cache = {**os.environ, "UV_CACHE_DIR": str(cache_folder() / "uv")}
    run([*uv, "--require-hashes", "-r", str(LOCK)], env=offline_cache)
    (venv / ".complete").touch()
    print(f"python    ready in {time.monotonic() - started:.0f} s: {venv}", file=sys.stderr, flush=True)


def refuse(problem: str) -> NoReturn:
    """Exit as every command does on an unfit machine."""
    print(problem, file=sys.stderr)
    sys.exit(3)


def main() -> None:
    """Run a module of the environment: `bootstrap.py MODULE [ARGUMENT ...]`."""
    if sys.version_info < (3, 11):
        refuse(
            f"slipway needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
            "Install one and run `make PYTHON=python3.11 ...`."
        )
    try:
        venv = environment()
    except subprocess.CalledProcessError as error:
        refuse(
            f"slipway could not make its Python environment: {' '.join(map(str, error.cmd[:4]))} ... failed (exit "
            f"{error.returncode}). Its message is above; check that the Python package registry can be reached, and "
            "that this Python has its venv module (Debian's python3-venv)."
        )
    os.environ["VIRTUAL_ENV"] = str(venv)
    os.environ["PATH"] = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(ROOT)
    # Importing pulumi_aws takes 4 s as source and 1 s compiled, in every run: some machines forbid to keep that.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.chdir(ROOT)
    os.umask(0o022)
    python = str(venv / "bin" / "python")
    os.execv(python, [python, "-m", *sys.argv[1:]])


if __name__ == "__main__":
    main()
