"""Give the rehearsed host what EC2's network gives an instance, before anything else on it starts.

Its private address, the resolver at 169.254.169.253, the metadata service at 169.254.169.254 within the hop limit, and
the registry at the address of 127.0.0.1 that images are named by. Runs at every boot: nothing of it is kept on disk.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/devcloud/machine.json")
METADATA = "169.254.169.254"
RESOLVER = "169.254.169.253"
DOCKER_RESOLVER = "127.0.0.11"
"""Docker's own, in each container on a network of its own: it asks the machine's."""


def addresses(settings: dict[str, Any]) -> list[list[str]]:
    """Return the commands that give the host its addresses."""
    return [
        ["ip", "address", "replace", f"{RESOLVER}/32", "dev", "lo"],
        ["ip", "address", "replace", f"{settings['privateAddress']}/32", "dev", "eth0"],
    ]


def rules(settings: dict[str, Any]) -> list[list[str]]:
    """Return the rules that lead to the metadata service.

    A response may travel `hopLimit` hops: with one, a container on the host gets no token at either address.
    """
    gateway, port = settings["gateway"], str(settings["metadataPort"])
    to_metadata = ["-d", METADATA, "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", f"{gateway}:{port}"]
    commands = [["-t", "nat", "-A", "OUTPUT", *to_metadata]]
    if settings["hopLimit"] > 1:
        commands.append(["-t", "nat", "-A", "PREROUTING", *to_metadata])
    else:
        commands.append(["-t", "raw", "-A", "PREROUTING", "-d", METADATA, "-j", "DROP"])
        commands.append(["-t", "raw", "-A", "PREROUTING", "-d", gateway, "-p", "tcp", "--dport", port, "-j", "DROP"])
    return [["iptables", "--wait", *command] for command in commands]


def resolver(settings: dict[str, Any]) -> str:
    """Return the settings of dnsmasq: the machine by the name that Docker gives it, all else from Docker's resolver."""
    return (
        f"listen-address={RESOLVER}\nbind-interfaces\nno-resolv\nno-hosts\n"
        f"server={DOCKER_RESOLVER}\naddress=/host.docker.internal/{settings['gateway']}\n"
    )


def forward(settings: dict[str, Any]) -> dict[str, str]:
    """Return the units that answer at the registry's address as the machine does, by file name."""
    socket = f"[Socket]\nListenStream=127.0.0.1:{settings['registryPort']}\n"
    service = (
        "[Service]\n"
        f"ExecStart=/lib/systemd/systemd-socket-proxyd {settings['gateway']}:{settings['registryPort']}\n"
        "Environment=SYSTEMD_LOG_LEVEL=warning\n"
    )
    return {"devcloud-registry.socket": socket, "devcloud-registry.service": service}


def main() -> None:
    """Set all of it up."""
    settings = json.loads(SETTINGS.read_text())
    for command in (*addresses(settings), *rules(settings)):
        subprocess.run(command, check=True)
    Path("/etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    Path("/run/devcloud").mkdir(exist_ok=True)
    Path("/run/devcloud/dnsmasq.conf").write_text(resolver(settings))
    units = Path("/run/systemd/system")
    units.mkdir(parents=True, exist_ok=True)
    for name, text in forward(settings).items():
        (units / name).write_text(text)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", "--no-block", "devcloud-registry.socket"], check=True)


if __name__ == "__main__":
    main()
