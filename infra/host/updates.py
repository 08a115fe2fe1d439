"""Install security updates in the stack's weekly window, and restart the host if they need it."""

from __future__ import annotations

from infra.host import deploy, docker
from infra.host.host import Host
from infra.host.outcome import HostError

UPGRADE = ("dnf", "upgrade", "--assumeyes", "--security", "--releasever=latest")
"""Amazon Linux 2023 is locked to the release of its image: without `--releasever` there is nothing to upgrade.

https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades-usage.html
"""
UPGRADE_SECONDS = 1800
NEEDS_RESTART = ("dnf", "needs-restarting", "--reboothint")
RESTART_NEEDED = "Reboot is required"
"""Part of dnf's answer. Its exit code alone is also that of an error."""
RESTART = ("systemctl", "reboot")


def update(host: Host) -> None:
    """Install the updates, and restart the host if they need it; the boot then starts the current release.

    Raises HostError, also if a release is under way: systemd then tries again.
    """
    with host.store.lock(wait=False) as free:
        if not free or host.store.open_release() is not None:
            raise HostError("A release is under way, so the security updates wait for its end.")
        host.must(UPGRADE, "Installing security updates", seconds=UPGRADE_SECONDS)
        if not _needs_restart(host):
            host.say("security updates: no restart is needed")
        elif host.store.open_release() is not None:
            raise HostError("A release came during the security updates, so the restart waits for its end.")
        else:
            host.say("security updates: the host restarts")
            _restart(host)


def _needs_restart(host: Host) -> bool:
    done = host.machine.run(NEEDS_RESTART)
    if done.code != 0 and RESTART_NEEDED not in done.stdout:
        raise HostError(f"dnf does not say whether the host needs a restart: {docker.last_line(done.stderr)}.")
    return done.code != 0


def _restart(host: Host) -> None:
    """Let the edge answer what it has, then restart the host."""
    current = host.store.current()
    edge = current.services[current.edge].container if current and current.edge else None
    if edge:
        seconds = round(host.graph.seconds.request) + deploy.EDGE_GRACE_SECONDS
        host.must(docker.stop([edge], seconds), "Stopping the edge", seconds=seconds + 30)
    try:
        host.must(RESTART, "Restarting the host")
    except HostError:
        if edge:
            host.run_docker(docker.start(edge))
        raise
