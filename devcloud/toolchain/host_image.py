"""The host image: what an EC2 instance of the cloud on this machine boots, in Amazon Linux's place.

Debian 12 with systemd and, in store until `dnf install docker`, a Docker engine; devcloud's stand-ins for the SSM
agent, cloud-init, dnf and grubby (devcloud/machines/image) are a layer of their own, so that a change of them costs a
second.
"""

import hashlib
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.toolchain import debian
from devcloud.toolchain.standins import SUITE, StandIn, bootstrap, have, strip
from devcloud.toolchain.work import Report, Work
from devcloud.util.console import MachineError, ending

LAYOUT = 1
"""Counts the ways in which the image's base was ever made: a new one is made if it rises."""
PACKAGES = (
    *("ca-certificates", "curl", "dbus", "dnsmasq-base", "docker.io", "e2fsprogs", "iproute2", "iptables", "kmod"),
    *("netbase", "procps", "python3", "systemd-sysv", "tzdata"),
)
STORE = "usr/lib/devcloud/store/docker"
STORED = (
    *("usr/bin/docker", "usr/bin/docker-init", "usr/sbin/docker-proxy", "usr/sbin/dockerd", "usr/sbin/runc"),
    *("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"),
    *("lib/systemd/system/docker.service", "lib/systemd/system/docker.socket", "lib/systemd/system/containerd.service"),
)
"""The files of dnf's package `docker`."""
DOCKER_SETTINGS = """[Service]
ExecStart=
# As Docker has it on Amazon Linux 2023: containers are scopes of systemd, within the host's own memory.
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock \\
    --exec-opt native.cgroupdriver=systemd
"""
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-pstore.service", "systemd-logind.service", "systemd-udevd.service"),
    *("systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udev-trigger.service"),
    *("getty.target", "console-getty.service", "systemd-remount-fs.service", "dev-hugepages.mount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount"),
)
"""Units that are for a machine of its own, or that would change the image's packages."""
IMAGE = ROOT / "devcloud" / "machines" / "image"
UNITS = "etc/systemd/system"


@dataclass(frozen=True)
class HostImage:
    """The image: an archive, and the files on top of it."""

    base: StandIn
    files: Path = IMAGE

    @property
    def base_name(self) -> str:
        """The name of the archive as an image in Docker; another one for an archive that was made again."""
        archive = self.base.archives[-1]
        made = f"{archive.stat().st_size:x}-{archive.stat().st_mtime_ns:x}" if archive.exists() else "none"
        return f"devcloud/host-base:{self.base.folder.name}-{made}"

    @property
    def name(self) -> str:
        """The name of the image in Docker; another one for other files."""
        digest = hashlib.sha256(self.base_name.encode() + self.dockerfile.encode())
        for file in sorted(path for path in self.files.rglob("*") if path.suffix in (".py", ".service")):
            digest.update(file.relative_to(self.files).as_posix().encode() + file.read_bytes())
        return f"devcloud/host:{digest.hexdigest()[:16]}"

    @property
    def dockerfile(self) -> str:
        """The instructions that put the files on top of the archive."""
        return (
            f"FROM {self.base_name}\n"
            "COPY *.py /usr/lib/devcloud/\n"
            f"COPY units/ /{UNITS}/\n"
            f"RUN cd /{UNITS}/multi-user.target.wants && for unit in ../*.service; do ln -sf $unit; done"
            " && for tool in dnf grubby; do"
            " printf '#!/bin/sh\\nexec python3 /usr/lib/devcloud/%s.py \"$@\"\\n' $tool > /usr/bin/$tool"
            " && chmod 755 /usr/bin/$tool; done && ln -sf dnf /usr/bin/yum\n"
            'CMD ["/lib/systemd/systemd"]\n'
        )


def of(cache: Path) -> HostImage:
    """Return the host image, whether or not its archive is there."""
    folder = cache / "standins" / f"host-{SUITE}-{LAYOUT}"
    archives = (folder / "host.tar",)
    return HostImage(
        StandIn("Amazon Linux 2023", f"Debian {SUITE}'s packages", folder, archives, "/lib/systemd/systemd")
    )


def ensure(cache: Path, report: Report) -> HostImage:
    """Have the host image's archive. Raise UserError if it cannot be made."""
    image = of(cache)

    def make(draft: Path, work: Work) -> None:
        debian.install(["debootstrap"], cache, work)
        root = draft / "root"
        bootstrap(root, PACKAGES, work)
        strip(root)
        _install_aws(root, work)
        _store_docker(root)
        _lay_out(root)

    have(image.base, make, report)
    return image


def _install_aws(root: Path, work: Work) -> None:
    """Install AWS's command line from PyPI: Amazon Linux brings one."""
    folder = root / "usr/lib/devcloud/awscli"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "--python-version", "3.11"]
    done = work.run([*command, "--only-binary", ":all:", f"awscli=={metadata.version('awscli')}"])
    if done.returncode != 0:
        raise MachineError(
            f"awscli could not be had from the Python package registry ({ending(done.stdout, 1)}). Check that this "
            "machine's pip reaches its registry."
        )
    shutil.rmtree(folder / "awscli" / "examples", ignore_errors=True)
    program = root / "usr/bin/aws"
    start = "from awscli.clidriver import main; import sys; sys.exit(main())"
    program.write_text(f'#!/bin/sh\nPYTHONPATH=/usr/lib/devcloud/awscli exec python3 -c "{start}" "$@"\n')
    program.chmod(0o755)


def _store_docker(root: Path) -> None:
    """Move Docker's files to where dnf's stand-in installs them from."""
    # systemd would make a unit of it that has the name of Docker's own.
    (root / "etc/init.d/docker").unlink()
    for name in STORED:
        target = root / STORE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(target)
    settings = root / STORE / UNITS / "docker.service.d" / "10-devcloud.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(DOCKER_SETTINGS)


def _lay_out(root: Path) -> None:
    """Leave only those units on that a host in a container needs."""
    units = root / UNITS
    for wants in units.glob("*.wants/*"):
        if wants.name in ("docker.service", "docker.socket", "containerd.service"):
            wants.unlink()
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/machine-id").unlink(missing_ok=True)
