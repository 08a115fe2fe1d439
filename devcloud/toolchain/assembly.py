"""Every part found or made, and put together in one folder that goes on PATH and one that is Pulumi's home."""

import hashlib
import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.toolchain import debian, golang, official, terraform, versions
from devcloud.toolchain.work import Report, Work, compatible, executable, version_of
from devcloud.util.console import MachineError, line
from devcloud.util.files import made_whole
from devcloud.util.locks import locked

GO_LANES = 2
"""Go builds side by side: one's linking, on one core, goes with another's compiling."""
LAYOUT = 2
"""Counts the ways in which an assembly's folder was ever laid out."""
WAITING = "another make prepares the toolchain; waiting for it"
DOCKER_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Toolchain:
    """Where everything is."""

    bin: Path
    """A folder to put first on PATH."""
    pulumi_home: Path
    """PULUMI_HOME, with the plugins that the program needs."""
    pulumi: Path
    buildkitd: Path
    buildctl: Path
    runc: Path
    docker: Path
    """The client."""
    dockerd: Path | None
    """The engine to start; None where one runs already."""
    docker_registry: Path
    redis_server: Path
    postgres_bin: Path
    """A folder with initdb, postgres and psql."""
    choices: tuple[str, ...] = ()
    """Where each part came from, a line each."""


@dataclass(frozen=True)
class Part:
    """A part as it was found or made: programs by name, and where they came from in words."""

    programs: dict[str, Path]
    origin: str


def ensure(cache: Path, report: Report) -> Toolchain:
    """Have the toolchain, and say of each part where it comes from. Raise MachineError with what is missing."""
    folder = cache / "toolchain" / _key()
    ready = _load(folder, cache)
    if ready is None:
        with locked(cache / "toolchain" / "lock", lambda: report(WAITING)):
            ready = _load(folder, cache) or _make(folder, cache, report)
    else:
        for choice in ready.choices:
            report(choice)
    return ready


def some(cache: Path, report: Report, names: Sequence[str]) -> dict[str, Path]:
    """Programs by name, of a few parts: what distributions package (`redis`, `postgresql`, ...), and `buildkit`.

    For what needs no cloud, and so none of the rest. Raise MachineError with what is missing.
    """
    with Work(report) as work:
        maker = _Maker(cache, work)
        with locked(cache / "toolchain" / "lock", lambda: report(WAITING)):
            maker.packaged([part for part in PACKAGED if part.name in names])
            if "buildkit" in names:
                maker.buildkit()
    return {name: path for part in maker.parts.values() for name, path in part.programs.items()}


def is_ready(cache: Path) -> bool:
    """Whether `ensure` has nothing left to do."""
    return _load(cache / "toolchain" / _key(), cache) is not None


def running_engine(cache: Path) -> bool:
    """Whether a Docker engine that is not devcloud's own answers."""
    host = os.environ.get("DOCKER_HOST", DOCKER_SOCKET)
    if not host.startswith("unix://"):
        return False  # an engine elsewhere: its containers could not reach what runs here
    path = Path(host.removeprefix("unix://"))
    if path.is_relative_to(cache):
        host, path = DOCKER_SOCKET, Path(DOCKER_SOCKET.removeprefix("unix://"))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return probe.recv(12).startswith(b"HTTP/1")
        except OSError:
            return False


def _key() -> str:
    """What an assembly stands for: its launchers name this checkout and this interpreter."""
    recipes = [program.recipe() for program in (golang.PULUMI, golang.DOCKER_BUILD, golang.BUILDKIT, golang.BRIDGE)]
    text = repr((LAYOUT, _launcher("", ()), recipes, versions.AWS, versions.TERRAFORM_AWS))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _load(folder: Path, cache: Path) -> Toolchain | None:
    """The assembly in a folder, if all that it consists of is still there."""
    try:
        stored = json.loads((folder / "toolchain.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    choices = tuple(stored.pop("choices"))
    paths = {name: Path(path) for name, path in stored.items()}
    if not all(path.exists() for path in paths.values()):
        return None
    engine_runs = running_engine(cache)
    if not engine_runs and "dockerd" not in paths:
        return None  # there was an engine then, and is none now
    dockerd = paths.pop("dockerd", None)
    return Toolchain(**paths, dockerd=None if engine_runs else dockerd, choices=choices)


# --- making ---------------------------------------------------------------------------------------------------------


def _make(folder: Path, cache: Path, report: Report) -> Toolchain:
    """Find or make every part, side by side, and put them together."""
    engine_runs = running_engine(cache)
    with Work(report) as work:
        maker = _Maker(cache, work)
        steps: list[Callable[[], None]] = [
            # The longest first. Packages are mostly waiting, and go beside the builds.
            lambda: maker.packages(engine_runs),
            maker.engine,
            maker.aws,
            maker.buildkit,
            maker.docker_build,
        ]
        with ThreadPoolExecutor(max_workers=GO_LANES + 1) as pool:
            pending = [pool.submit(step) for step in steps]
            try:
                done, _ = wait(pending, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()  # raises what a step raised
            except BaseException:  # an interruption too: the other steps' commands must not outlast it
                for future in pending:
                    future.cancel()
                work.stop()
                raise
    return _put_together(folder, cache, maker.parts, maker.choices)


class _Maker:
    """Finds or makes the parts. Each method is one step, and leaves its parts in `parts`."""

    def __init__(self, cache: Path, work: Work) -> None:
        self.cache = cache
        self.work = work
        self.parts: dict[str, Part] = {}
        self.choices: list[str] = []
        self._made = cache / "toolchain" / "parts"

    def engine(self) -> None:
        """Have Pulumi with a Python language host."""
        title, host = f"pulumi {versions.PULUMI}", "pulumi-language-python"
        part = (
            self._on_path("version", versions.PULUMI, "pulumi", host)
            or self._official(title, official.pulumi(), "pulumi/pulumi")
            or self._built(golang.PULUMI, "pulumi")
        )
        self._have("pulumi", title, part)
        if host not in part.programs:
            self._choose(host, "our host around the SDK's own runtime")

    def docker_build(self) -> None:
        binary = "pulumi-resource-docker-build"
        self._plugin("docker-build", versions.DOCKER_BUILD, lambda: self._built(golang.DOCKER_BUILD, binary))

    def aws(self) -> None:
        """Have Pulumi's AWS plugin, or the bridge over a Terraform AWS provider."""
        self._plugin("aws", versions.AWS, self._aws_by_bridge)

    def buildkit(self) -> None:
        title, names = f"buildkit {versions.BUILDKIT}", ("buildkitd", "buildctl")
        part = (
            self._on_path("--version", versions.BUILDKIT, *names)
            or self._official(title, official.buildkit(), "bin/buildkitd", names)
            or self._built(golang.BUILDKIT, *names)
        )
        self._have("buildkit", title, part)

    def packages(self, engine_runs: bool) -> None:
        """What the machine's package manager provides."""
        self.packaged([part for part in PACKAGED if not (engine_runs and part.name == "dockerd")])
        if engine_runs:
            self._choose("dockerd", "the Docker engine that runs on this machine")

    def packaged(self, wanted: Sequence["Packaged"]) -> None:
        """Some of what the machine's package manager provides, installed where it is missing."""
        debian.settle(self.cache, self.work)
        missing = [part for part in wanted if part.find(self.cache) is None]
        if missing:
            packages = sorted({package for part in missing for package in part.packages})
            debian.install(packages, self.cache, self.work)
        for part in wanted:
            folder = part.find(self.cache)
            if folder is None:
                raise MachineError(
                    f"{part.programs[0]} is not on this machine, and {' or '.join(part.packages)} does not bring it. "
                    f"Install {part.programs[0]} and run the command again."
                )
            programs = {name: folder / name for name in part.programs}
            origin = _package_origin(folder / part.programs[0])
            self._have(part.name, part.name, Part(programs, origin))

    def _plugin(self, name: str, version: str, build: Callable[[], Part]) -> None:
        title, binary = f"{name} plugin {version}", f"pulumi-resource-{name}"
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        folder = home / "plugins" / f"resource-{name}-v{version}"
        if (folder / binary).exists() and not folder.resolve().is_relative_to(self.cache):
            self._have(name, title, _all_of(folder, _on_machine(folder)))
        else:
            self._have(name, title, self._official(title, official.pulumi_plugin(name, version), binary) or build())

    def _on_path(self, argument: str, version: str, *names: str) -> Part | None:
        """Return programs of this machine, if all are there and the first prints a compatible version."""
        found = {name: path for name in names if (path := executable(name, outside=self.cache))}
        if len(found) < len(names) or not compatible(version_of([found[names[0]], argument]), version):
            return None
        return Part(found, _on_machine(found[names[0]]))

    def _official(self, title: str, urls: Sequence[str], proof: str, names: Sequence[str] = ()) -> Part | None:
        """Return the programs (default: all) beside `proof` in the official distribution, if it can be had."""
        folder = self._made / f"{title.replace(' ', '-')}-official"
        if not folder.is_dir():
            with self.work.step(f"downloading {urls[0].rpartition('/')[2]}"):
                official.unpack(urls, folder)
        if (folder / proof).exists():
            return _all_of((folder / proof).parent, "the official distribution", names)
        shutil.rmtree(folder, ignore_errors=True)  # not what it was thought to be
        return None

    def _built(self, program: golang.Program, *names: str) -> Part:
        folder, origin = golang.built(program, self.cache), "built from its Go module"
        if folder is None:
            go = golang.find(self.cache)
            if go is None:
                with locked(self.cache / "toolchain" / "go.lock", lambda: None):
                    go = golang.get(self.cache, self.work)
            folder, origin = golang.build(program, self.cache, go, self.work)
        return Part({name: folder / name for name in names}, origin)

    def _aws_by_bridge(self) -> Part:
        provider = terraform.provider()
        if provider is None:
            raise MachineError(no_aws_provider())
        binary = "pulumi-resource-terraform-provider"
        bridge = self._built(golang.BRIDGE, binary)
        programs = {"bridge": bridge.programs[binary], "terraform-provider-aws": provider}
        return Part(programs, f"{provider.name} by Pulumi's dynamic bridge {versions.BRIDGE}, {bridge.origin}")

    def _have(self, name: str, title: str, part: Part) -> None:
        self.parts[name] = part
        self._choose(title, part.origin)

    def _choose(self, title: str, origin: str) -> None:
        self.work.say(title, origin)
        self.choices.append(line(title, origin.partition(" in ")[0]))


@dataclass(frozen=True)
class Packaged:
    """A part that distributions package: its programs (the first must be found; all lie in one folder)."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """Patterns of folders beside PATH where distributions put it."""

    def find(self, cache: Path) -> Path | None:
        """The folder with all its programs."""
        first = executable(self.programs[0], outside=cache)
        candidates = [first.parent] if first else []
        for pattern in self.folders:
            # The newest of several versions.
            found = Path("/").glob(pattern.lstrip("/"))
            candidates += sorted(found, key=lambda folder: folder.parent.name.zfill(4), reverse=True)
        for folder in candidates:
            if all(os.access(folder / program, os.X_OK) for program in self.programs):
                return folder
        return None


PACKAGED = (
    Packaged("docker", ("docker",), ("docker.io",)),
    Packaged("dockerd", ("dockerd",), ("docker.io",)),
    Packaged("runc", ("runc",), ("runc",)),
    Packaged("docker-registry", ("docker-registry",), ("docker-registry",)),
    Packaged("redis", ("redis-server",), ("redis-server",)),
    Packaged("postgresql", ("postgres", "initdb", "psql"), ("postgresql",), ("/usr/lib/postgresql/*/bin",)),
)

FOR_TESTS = (Packaged("chromium", ("chromium",), ("chromium", "fonts-dejavu-core")),)
"""What the tests need besides: a browser, with a font to write in."""


def ensure_for_tests(cache: Path, report: Report) -> None:
    """Have what the tests need besides the toolchain. Raise MachineError if that fails."""
    missing = sorted({package for part in FOR_TESTS if part.find(cache) is None for package in part.packages})
    if missing:
        with Work(report) as work:
            debian.install(missing, cache, work)


def missing_packages(cache: Path) -> list[str]:
    """The packages that `ensure` will install."""
    engine_runs = running_engine(cache)
    wanted = [part for part in PACKAGED if not (engine_runs and part.name == "dockerd")]
    return sorted({package for part in wanted if part.find(cache) is None for package in part.packages})


def no_aws_provider() -> str:
    """What to do where no AWS provider can be had."""
    return (
        f"There is no AWS provider for Pulumi here: its official plugin {versions.AWS} cannot be downloaded, and no "
        f"Terraform AWS provider {versions.TERRAFORM_AWS} lies in a Terraform filesystem mirror under /opt, /usr/local "
        f"or ~/.terraform.d/plugins. Put one there (in {terraform.layout()}), or run "
        f"`pulumi plugin install resource aws v{versions.AWS}` where it can be had."
    )


def _all_of(folder: Path, origin: str, names: Sequence[str] = ()) -> Part:
    return Part({file.name: file for file in sorted(folder.iterdir()) if not names or file.name in names}, origin)


def _on_machine(path: Path) -> str:
    return f"on this machine: {path}"


def _package_origin(program: Path) -> str:
    package = debian.owner(program) if debian.available() else ""
    found = debian.version(package) if package else ""
    return f"{debian.distribution()}'s {package} {found}" if found else _on_machine(program)


# --- putting together -----------------------------------------------------------------------------------------------


def _put_together(folder: Path, cache: Path, parts: dict[str, Part], choices: Sequence[str]) -> Toolchain:
    """Fill the assembly's folder, and its stamp last."""
    shutil.rmtree(folder, ignore_errors=True)
    _forget_gone_checkouts(folder.parent)
    with made_whole(folder) as draft:
        bin_folder = draft / "bin"
        bin_folder.mkdir()
        for name in ("pulumi", "buildkit", "docker", "dockerd", "runc"):
            for program, path in parts[name].programs.items() if name in parts else ():
                _link(path, bin_folder / program, cache)
        if "pulumi-language-python" not in parts["pulumi"].programs:
            _write_launcher(bin_folder / "pulumi-language-python", "devcloud.plugins.language_host")
        plugins = draft / "home" / "plugins"
        docker_build = plugins / f"resource-docker-build-v{versions.DOCKER_BUILD}"
        docker_build.mkdir(parents=True)
        for program, path in parts["docker-build"].programs.items():
            _link(path, docker_build / program, cache)
        aws = plugins / f"resource-aws-v{versions.AWS}"
        aws.mkdir()
        programs = dict(parts["aws"].programs)
        if "bridge" in programs:
            # The bridge takes the provider's name from its file's, which in a mirror carries the version.
            provider = draft / "lib" / "terraform-provider-aws"
            provider.parent.mkdir()
            provider.symlink_to(programs["terraform-provider-aws"])
            arguments = (str(programs["bridge"]), str(folder / "lib" / "terraform-provider-aws"))
            _write_launcher(aws / "pulumi-resource-aws", "devcloud.plugins.aws_forwarder", *arguments)
        else:
            for program, path in programs.items():
                _link(path, aws / program, cache)
        (draft / "checkout").write_text(str(ROOT))
        toolchain = Toolchain(
            bin=folder / "bin",
            pulumi_home=folder / "home",
            pulumi=folder / "bin" / "pulumi",
            buildkitd=folder / "bin" / "buildkitd",
            buildctl=folder / "bin" / "buildctl",
            runc=parts["runc"].programs["runc"],
            docker=parts["docker"].programs["docker"],
            dockerd=parts["dockerd"].programs["dockerd"] if "dockerd" in parts else None,
            docker_registry=parts["docker-registry"].programs["docker-registry"],
            redis_server=parts["redis"].programs["redis-server"],
            postgres_bin=parts["postgresql"].programs["postgres"].parent,
        )
        stamp = {name: str(path) for name, path in asdict(toolchain).items() if isinstance(path, Path)}
        (draft / "toolchain.json").write_text(json.dumps({**stamp, "choices": list(choices)}, indent=1) + "\n")
    return replace(toolchain, choices=tuple(choices))


def _link(source: Path, target: Path, cache: Path) -> None:
    """A hard link to what we made, so that a program finds its neighbours where it was started; else a symbolic one."""
    if source.is_relative_to(cache):
        os.link(source, target)
    else:
        target.symlink_to(source)


def _write_launcher(file: Path, module: str, *arguments: str) -> None:
    file.write_text(_launcher(module, arguments))
    file.chmod(0o755)


def _launcher(module: str, arguments: Sequence[str]) -> str:
    """A script that starts one of our plugins in the locked environment, whatever environment it is started from.

    The module's name stays the last word but the engine's, and -P keeps the program's own folder from shadowing ours.
    """
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {module} import main; main()"
    words = [sys.executable, "-P", "-c", start, *arguments]
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'


def _forget_gone_checkouts(assemblies: Path) -> None:
    """Remove the assemblies of checkouts that are no more."""
    for note in assemblies.glob("*/checkout"):
        if not Path(note.read_text()).is_dir():
            shutil.rmtree(note.parent, ignore_errors=True)
