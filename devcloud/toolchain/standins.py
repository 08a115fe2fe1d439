"""Stand-ins for Docker Hub's base images, where Docker Hub cannot be reached.

Dockerfiles stay as they are for Docker Hub: BuildKit is told that this cloud's registry mirrors docker.io, and finds
`library/python:3.11-slim` there, which is Debian 12 with its own Python 3.11 laid out as the official image has it.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx

from devcloud.toolchain import debian
from devcloud.toolchain.work import Refusal, Report, Work, ending, locked, made_whole

PYTHON = "python:3.11-slim"
SUITE = "bookworm"
LAYOUT = 1
"""Counts the ways in which the stand-in was ever made: a new one is made where it rises."""
EPOCH = 1_767_225_600
"""The time that every file in it carries, in seconds since 1970: the same files give the same digest."""
PACKAGES = ("ca-certificates", "netbase", "python3.11", "python3-venv", "tzdata")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
HUB = "registry-1.docker.io"
"""Docker Hub's registry: asked whether it answers, and for nothing else."""
UNNEEDED = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"),
    *("var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/log", "tmp"),
)
"""What an image of the official kind does not carry either."""
DOCKERFILE = """FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""
PIP = """#!/usr/bin/python3.11
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""


def docker_hub_reachable(timeout_seconds: float = 3) -> bool:
    """Whether Docker Hub answers at all."""
    try:
        with socket.create_connection((HUB, 443), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def ensure_rootfs(cache: Path, report: Report) -> Path:
    """The stand-in's files as a tar archive, made where it is missing. Raises Refusal where that fails."""
    folder = cache / "standins" / f"python-{SUITE}-{LAYOUT}"
    archive = folder / "rootfs.tar"
    if archive.exists():
        return archive
    with locked(cache / "standins" / "lock", lambda: report("another make prepares the base image; waiting for it")):
        if not archive.exists():
            with Work(report) as work:
                debian.install(["debootstrap"], cache, work)
                with made_whole(folder) as draft, work.step(f"making a stand-in for {PYTHON}") as took:
                    _bootstrap(draft / "rootfs", work)
                    _lay_out(draft / "rootfs")
                    _pack(draft / "rootfs", draft / "rootfs.tar")
                    shutil.rmtree(draft / "rootfs")
                work.say(PYTHON, f"a stand-in of Debian {SUITE}'s packages, made in {took()}")
    return archive


def publish(buildctl: Path, buildkit_address: str, registry: str, rootfs: Path, report: Report) -> None:
    """Push the stand-in to a registry (`host:port`, plain HTTP), unless this very one is there."""
    mark = rootfs.with_name("published.json")
    published = json.loads(mark.read_text()) if mark.exists() else {}
    if published.get(registry) and _there(registry, published[registry]):
        return
    context = rootfs.with_name("context")
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    link = context / "rootfs.tar"
    link.unlink(missing_ok=True)
    link.hardlink_to(rootfs)
    metadata = rootfs.with_name("metadata.json")
    command = [
        *(str(buildctl), "--addr", buildkit_address, "build", "--frontend", "dockerfile.v0", "--progress", "plain"),
        *("--local", f"context={context}", "--local", f"dockerfile={context}"),
        *("--opt", f"build-arg:SOURCE_DATE_EPOCH={EPOCH}", "--metadata-file", str(metadata)),
        *("--output", f"type=image,name={registry}/library/{PYTHON},push=true,rewrite-timestamp=true"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refusal(f"The stand-in for {PYTHON} could not be pushed to {registry}: {ending(done.stderr)}")
    published[registry] = json.loads(metadata.read_text())["containerimage.digest"]
    mark.write_text(json.dumps(published, indent=1, sort_keys=True) + "\n")
    report(f"{PYTHON}: Docker Hub is out of reach; a stand-in of Debian {SUITE}'s packages takes its place")


def _there(registry: str, digest: str) -> bool:
    """Whether the registry has the stand-in by that digest, under its tag."""
    name, tag = f"library/{PYTHON}".split(":")
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    try:
        answer = httpx.head(
            f"http://{registry}/v2/{name}/manifests/{tag}", headers={"Accept": accept}, timeout=10, trust_env=False
        )
    except httpx.HTTPError:
        return False
    found: str | None = answer.headers.get("Docker-Content-Digest")
    return found == digest


def _bootstrap(root: Path, work: Work) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), *_mirror()]
    done = work.run(command)
    if done.returncode != 0:
        raise Refusal(
            f"debootstrap could not make a Debian {SUITE} (exit {done.returncode}): {ending(done.stdout)}. "
            "Check that this machine reaches its Debian mirror."
        )


def _mirror() -> Sequence[str]:
    """The mirror that this machine's apt is configured for; none, for debootstrap's own, where it is no Debian's."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(SITE)", "Created-By: Packages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sites = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Debian ")]
    plain = [site for site in sites if "security" not in site]
    return plain[:1]


def _lay_out(root: Path) -> None:
    """Make it look like the official image: `python`, `python3` and `pip` in /usr/local/bin, nothing unneeded."""
    for name in UNNEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
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
        shutil.copyfile(CERTIFICATES, root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _pack(root: Path, archive: Path) -> None:
    command = [
        *("tar", "--create", "--file", str(archive), "--directory", str(root), "--sort=name", "--numeric-owner"),
        *(f"--mtime=@{EPOCH}", "--one-file-system", "."),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refusal(f"The stand-in for {PYTHON} could not be packed: {ending(done.stderr)}")
