"""Wait for Docker: on the first boot, the SSM agent takes releases before Docker is installed."""

from __future__ import annotations

from infra.host import docker, firewall
from infra.host.host import PAUSE_SECONDS, Host
from infra.host.outcome import HostError

SAY_SECONDS = 15
NOT_INSTALLED = 127


def wait_for_docker(host: Host) -> None:
    """Return once Docker answers and iptables is installed. Raises HostError."""
    begun = said = host.machine.now()
    limit = host.graph.seconds.agent
    while (missing := _missing(host)) is not None:
        now = host.machine.now()
        if now - begun >= limit:
            raise HostError(
                f"Docker was not ready within {limit:g} s ({missing}): look at "
                "`journalctl -u slipway-bootstrap -u docker` on the host."
            )
        if now - said >= SAY_SECONDS:
            said = now
            host.say(f"waiting for Docker: {missing} ... {now - begun:.0f} s")
        host.machine.sleep(PAUSE_SECONDS)


def _missing(host: Host) -> str | None:
    """Return why Docker or iptables cannot be used yet; None if both can."""
    for command in (docker.names(host.graph.name), firewall.listing()):
        done = host.machine.run(command)
        if done.code == NOT_INSTALLED or docker.unreachable(done.stderr):
            return docker.last_line(done.stderr)
    return None
