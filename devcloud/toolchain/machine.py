"""What a run will need of this machine, checked before it starts anything."""

import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from devcloud.toolchain import assembly, debian, golang, official, terraform, versions
from devcloud.util.processes import traced

FIRST_RUN_GB = 15
"""Free disk for a first run: Go's caches take 8 GB while it builds, images and engines the rest."""
LATER_RUN_GB = 5
NETWORK_SECONDS = 30


def check_machine(cache: Path, *, disk: bool = True) -> list[str]:
    """The problems that would end a run, a sentence each. Only what this very run needs is checked.

    `disk` says whether the run will keep anything.
    """
    ready = assembly.is_ready(cache)
    # Go's caches are what takes the disk of a first run: another checkout's run has made them before.
    made = ready or all(golang.built(program, cache) for program in _to_build(cache))
    return [
        *(disk_problem(cache, LATER_RUN_GB if made else FIRST_RUN_GB) if disk else ()),
        *_root(cache),
        *([] if ready else _sources(cache)),
    ]


def disk_problem(cache: Path, needed_gb: int, what: str = "this run") -> Iterator[str]:
    """A sentence where the cache folder's disk has less free than `what` needs."""
    folder = next(parent for parent in (cache, *cache.parents) if parent.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        yield (
            f"{cache} is on a disk with {free_gb:.1f} GB free, and {what} needs {needed_gb} GB: free some, or name a "
            "folder on another disk with SLIPWAY_CACHE."
        )


def _root(cache: Path) -> Iterator[str]:
    if os.geteuid() == 0:
        return
    reasons = []
    packages = assembly.missing_packages(cache)
    if packages:
        reasons.append(f"to install {', '.join(packages)}")
    if not assembly.running_engine(cache):
        reasons.append("to start a Docker engine")
    reasons.append("to run BuildKit")
    yield f"This run must be root {' and '.join(reasons)}: run it as root."


def _sources(cache: Path) -> Iterator[str]:
    packages = assembly.missing_packages(cache)
    if packages and not debian.available():
        yield f"This machine lacks {', '.join(packages)} and has no apt-get: install them by its own means."
    elif packages and os.geteuid() == 0:
        problem = debian.cannot_download(packages)
        if problem:
            yield (
                f"{', '.join(packages)} must be installed, and apt-get cannot download {packages[0]}: {problem}. "
                "Check /etc/apt and that this machine reaches its package mirror."
            )
    programs = _to_build(cache)
    if any(program is golang.BRIDGE for program in programs) and terraform.provider() is None:
        yield assembly.no_aws_provider()
    missing = [program for program in programs if golang.built(program, cache) is None]
    if missing:
        yield from _go(cache, missing)


def _to_build(cache: Path) -> list[golang.Program]:
    """The programs for which no official distribution is in reach."""
    sources = (
        (golang.PULUMI, official.pulumi()),
        (golang.DOCKER_BUILD, official.pulumi_plugin("docker-build", versions.DOCKER_BUILD)),
        (golang.BRIDGE, official.pulumi_plugin("aws", versions.AWS)),
        (golang.BUILDKIT, official.buildkit()),
    )
    return [program for program, urls in sources if not any(official.reachable(_host(url)) for url in urls)]


def _go(cache: Path, programs: Sequence[golang.Program]) -> Iterator[str]:
    go = golang.find(cache)
    if go is None:
        return  # a Go is got first, and that says itself what is wrong
    names = ", ".join(f"{program.module} {program.version}" for program in programs)
    module = "github.com/pulumi/pulumi/sdk/v3@v" + versions.PULUMI
    command = [str(go), "list", "-m", "-f", "{{.Version}}", module]
    settings = golang.environment(cache)
    try:
        done = subprocess.run(
            traced(command), env=settings, cwd="/", capture_output=True, text=True, timeout=NETWORK_SECONDS, check=False
        )
        problem = "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    except subprocess.TimeoutExpired:
        problem = f"no answer within {NETWORK_SECONDS} s"
    if problem:
        yield (
            f"{names} must be built from Go modules, and no module can be had: {problem}. Check that `go env GOPROXY` "
            "names a Go module proxy that this machine reaches."
        )


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or ""
