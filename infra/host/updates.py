"""Install security updates in the stack's weekly window, and restart the host if they need it."""

from __future__ import annotations

from infra.host import deploy, docker
from infra.host.host import Host
from infra.host.outcome import HostError

SECURITY = ("--security", "--releasever=latest")
"""Amazon Linux 2023 is locked to the release of its image: without `--releasever` there is nothing to upgrade.

https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades-usage.html
"""
DOCKER = ("docker", "containerd", "runc")
"""Packages whose update may restart Docker, and with it every container. Docker's `live-restore` would keep them
running, but only from one patch release to the next, and `--releasever=latest` may bring another one."""
UPGRADE = ("dnf", "upgrade", "--assumeyes", *SECURITY)
UPGRADE_OTHERS = (*UPGRADE, "--exclude=" + ",".join(DOCKER))
DOWNLOAD_DOCKER = (*UPGRADE, "--downloadonly", *DOCKER)
UPGRADE_DOCKER = (*UPGRADE, "--cacheonly", *DOCKER)
"""Without the network, since nothing answers meanwhile."""
UPGRADE_SECONDS = 1800
CHECK_DOCKER = ("dnf", "check-update", *SECURITY, *DOCKER)
UPDATES_WAIT = 100
"""dnf's exit code if there are updates."""
NEEDS_RESTART = ("dnf", "needs-restarting", "--reboothint")
RESTART_NEEDED = "Reboot is required"
"""Part of dnf's answer. Its exit code alone is also that of an error."""
NEXT_KERNEL = ("grubby", "--default-kernel")
"""dnf does not know a kernel of a package such as `kernel6.18`.

https://github.com/amazonlinux/amazon-linux-2023/issues/1125
"""
KERNEL = ("uname", "--kernel-release")
KERNEL_FILE, INITRAMFS_FILE = "/boot/vmlinuz-", "/boot/initramfs-{}.img"
"""A kernel, and its initramfs. rpm only warns if a package's script could not make that."""
INITRAMFS_SECONDS = 600
RESTART = ("systemctl", "reboot")


def update(host: Host) -> None:
    """Install the updates, and restart the host if they need it; the boot then starts the current release.

    Docker is updated only right before a restart. Raises HostError, also if a release is under way: systemd then tries
    again.
    """
    with host.store.lock(wait=False) as free:
        if not free or host.store.open_release() is not None:
            raise HostError("A release is under way, so the security updates wait for its end.")
        host.must(UPGRADE_OTHERS, "Installing security updates", seconds=UPGRADE_SECONDS)
        docker_waits, kernel = _docker_waits(host), _another_kernel(host)
        if not docker_waits and not kernel and not _needs_restart(host):
            host.say("security updates: no restart is needed")
        elif host.store.open_release() is not None:
            raise HostError("A release came during the security updates, so the restart waits for its end.")
        else:
            if kernel:
                _ensure_initramfs(host, kernel)
            host.say("security updates: the host restarts")
            _restart(host, docker_waits)


def _docker_waits(host: Host) -> bool:
    done = host.machine.run(CHECK_DOCKER, seconds=UPGRADE_SECONDS)
    if done.code not in (0, UPDATES_WAIT):
        raise HostError(f"dnf does not say whether Docker has updates: {docker.last_line(done.stderr)}.")
    return done.code == UPDATES_WAIT


def _needs_restart(host: Host) -> bool:
    done = host.machine.run(NEEDS_RESTART)
    if done.code != 0 and RESTART_NEEDED not in done.stdout:
        raise HostError(f"dnf does not say whether the host needs a restart: {docker.last_line(done.stderr)}.")
    return done.code != 0


def _another_kernel(host: Host) -> str | None:
    """Return the release of the kernel that the next boot starts; None if it is the one that runs."""
    file = host.must(NEXT_KERNEL, "Asking for the kernel of the next boot").strip()
    release = file[len(KERNEL_FILE) :]
    return None if release == host.must(KERNEL, "Asking for the kernel").strip() else release


def _ensure_initramfs(host: Host, kernel: str) -> None:
    """Make a kernel's initramfs if the update did not: without it the host would not boot."""
    file = INITRAMFS_FILE.format(kernel)
    if host.machine.run(("test", "-s", file)).code != 0:
        host.must(("dracut", "--force", file, kernel), f"Making {file}", seconds=INITRAMFS_SECONDS)


def _restart(host: Host, update_docker: bool) -> None:
    """Let the edge answer what it has, update Docker if asked to, and restart the host."""
    current = host.store.current()
    edge = current.services[current.edge].container if current and current.edge else None
    if update_docker:
        host.must(DOWNLOAD_DOCKER, "Downloading Docker's update", seconds=UPGRADE_SECONDS)
    if edge:
        seconds = round(host.graph.seconds.request) + deploy.EDGE_GRACE_SECONDS
        host.must(docker.stop([edge], seconds), "Stopping the edge", seconds=seconds + 30)
    try:
        if update_docker:
            host.must(UPGRADE_DOCKER, "Updating Docker", seconds=UPGRADE_SECONDS)
        host.must(RESTART, "Restarting the host")
    except HostError:
        if edge:
            host.run_docker(docker.start(edge))
        raise
