"""What the machine's package manager has: one call for all that is missing, and no service started by it."""

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from devcloud.toolchain.work import Work
from devcloud.util.console import MachineError, ending
from devcloud.util.locks import locked
from devcloud.util.processes import traced

LOCK_SECONDS = 300
"""How long to wait for another user of the package database."""
TRIES = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by a package's scripts whether its service may start: 101 is no."""
_POLICY_TEXT = "#!/bin/sh\n# Slipway installs packages for their programs; their services stay off.\nexit 101\n"


def available() -> bool:
    """Whether this machine has apt."""
    return shutil.which("apt-get") is not None


def distribution() -> str:
    """What this machine's packages are called by: Debian, Ubuntu, ..."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("NAME", "Linux").split()[0]
    return "Linux"


def version(package: str) -> str:
    """The installed version of a package; empty where it is not installed."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}", package]
    try:
        done = subprocess.run(traced(query), capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return ""
    status, _, found = done.stdout.partition(" ")
    return found if status == "installed" else ""


def owner(program: Path) -> str:
    """The package that a program belongs to; empty where it is no package's."""
    for path in (program, program.resolve()):
        done = subprocess.run(
            traced(["dpkg-query", "--search", str(path)]), capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout.splitlines()[0].partition(":")[0]
    return ""


def settle(cache: Path, work: Work) -> None:
    """Wait for the apt of a run that was killed, if one still goes on, and take away what that run left."""
    with locked(cache / "toolchain" / "packages.lock", lambda: work.say("packages", "waiting for another apt of ours")):
        _remove_policy()


def install(packages: Sequence[str], cache: Path, work: Work) -> None:
    """Install what is missing of some packages. Raise MachineError if that fails."""
    waiting = "another make installs some; waiting for it"
    with locked(cache / "toolchain" / "packages.lock", lambda: work.say("packages", waiting)):
        missing = [package for package in packages if not version(package)]
        if not missing:
            return
        with work.step(f"installing {', '.join(missing)}"), _services_stay_off():
            if not _known(missing, work):
                _update(work)
            done = _apt(work, missing)
            if done.returncode != 0:
                # A run that was killed in the middle leaves packages half configured, and apt then refuses all.
                work.run(["dpkg", "--configure", "--pending"], env=_environment())
                _update(work)  # a list from yesterday may name a version that the mirror no longer has
                done = _apt(work, missing)
        if done.returncode != 0:
            raise MachineError(
                f"apt-get could not install {', '.join(missing)} (exit {done.returncode}): {ending(done.stdout)}. "
                "Check /etc/apt and that this machine reaches its package mirror."
            )


def unpack(package: str, folder: Path, work: Work) -> None:
    """Put a package's files in a folder, without installing it. Raise MachineError if it cannot be had."""
    with tempfile.TemporaryDirectory() as downloads:
        done = _download(package, Path(downloads), work)
        for archive in Path(downloads).glob("*.deb"):
            done = work.run(["dpkg-deb", "--extract", str(archive), str(folder)])
    if done.returncode != 0 or not any(folder.iterdir()):
        raise MachineError(
            f"apt-get could not download {package} (exit {done.returncode}): {ending(done.stdout)}. "
            "Check /etc/apt and that this machine reaches its package mirror."
        )


def cannot_download(packages: Sequence[str]) -> str:
    """Return why apt cannot get a package of these, found out by getting the first; empty if it can."""
    with tempfile.TemporaryDirectory() as folder, Work(lambda _: None) as work:
        done = _download(packages[0], Path(folder), work)
    return "" if done.returncode == 0 else ending(done.stdout, 1)


def _download(package: str, folder: Path, work: Work) -> subprocess.CompletedProcess[str]:
    """Download a package into a folder, if need be after an update of the lists."""
    folder.chmod(0o777)  # apt downloads as a user of its own
    command = ["apt-get", "-qq", *TRIES, "download", package]
    done = work.run(command, cwd=folder)
    if done.returncode != 0:
        _update(work)
        done = work.run(command, cwd=folder)
    return done


def _known(packages: Sequence[str], work: Work) -> bool:
    return all(work.run(["apt-cache", "show", package]).returncode == 0 for package in packages)


def _update(work: Work) -> None:
    # A failure says little: other sources of the machine may be out of reach. The installation will tell.
    work.run(["apt-get", "-qq", *TRIES, "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}", "update"], env=_environment())


def _apt(work: Work, packages: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", *TRIES]
    command += ["-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}", "-o", "Dpkg::Options::=--force-confold", *packages]
    return work.run(command, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Have packages installed without their services started. A machine's own policy is left alone."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text(_POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _remove_policy()


def _remove_policy() -> None:
    """Remove the policy that is ours, if it is there."""
    if POLICY.exists() and POLICY.read_text() == _POLICY_TEXT:
        POLICY.unlink()
