"""The units of systemd: a release of its own, the boot, and the minute timer. Texts and command lines are pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.host.host import Host
from infra.host.outcome import HostError

RELEASE_UNIT = "slipway-release"
START_TRIES = 10
RUNNING_STATES = ("active", "activating")


def texts(python: str, program: str) -> Mapping[str, str]:
    """Return the unit files by name; `program` is the link to the program in charge."""
    return {
        "slipway-boot.service": f"""[Unit]
Description=Slipway: start the current release
Wants=docker.service network-online.target
After=docker.service network-online.target

[Service]
Type=oneshot
ExecStart={python} {program} boot
# Without AWS and without a release of its own, the host asks again.
Restart=on-failure
RestartSec=5
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
""",
        "slipway-tend.service": f"""[Unit]
Description=Slipway: publish metrics, renew credentials, keep the rule of the public port, send logs
After=docker.service

[Service]
Type=oneshot
ExecStart={python} {program} tend
""",
        "slipway-tend.timer": """[Unit]
Description=Slipway: look after the host each minute

[Timer]
OnBootSec=60
OnUnitActiveSec=60
# Otherwise a minute may pass without metrics.
AccuracySec=1s

[Install]
WantedBy=timers.target
""",
    }


def run_release(python: str, program: str) -> list[str]:
    """Return the command that carries out the open release in a unit of its own.

    Outside the SSM agent, which kills its commands when it is cancelled; and started again at once if it is killed.
    """
    properties = {
        "Type": "exec",
        "Restart": "on-failure",
        "RestartSec": "1",
        "StartLimitIntervalSec": "0",
        # The release must survive what it starts.
        "OOMScoreAdjust": "-500",
    }
    options = [f"--property={name}={value}" for name, value in properties.items()]
    return ["systemd-run", "--collect", "--unit", RELEASE_UNIT, *options, python, program, "resume"]


def is_active() -> list[str]:
    """Return the command that prints the state of the release's unit."""
    return ["systemctl", "is-active", RELEASE_UNIT]


def start_release(host: Host) -> None:
    """Carry out the open release in its unit, unless that runs already. Raises HostError."""
    for attempt in range(START_TRIES):
        # A unit that waits for its restart is `activating`, and goes on by itself; systemd-run would refuse its name.
        if host.machine.run(is_active()).stdout.strip() in RUNNING_STATES:
            return
        # The unit of the release before may still be ending.
        done = host.machine.run(run_release(sys.executable, host.store.open_program() or host.program))
        if done.code == 0:
            return
        if attempt < START_TRIES - 1:
            host.machine.sleep(0.5)
    raise HostError(f"The release cannot be started: systemd-run failed ({done.stderr.strip()[:300]}).")


def install(host: Host) -> None:
    """Write the units if they are missing or differ, and enable them. Raises HostError."""
    changed = False
    for name, text in texts(sys.executable, str(host.store.program)).items():
        file = host.store.units / name
        if not file.is_file() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            changed = True
    if not host.store.program.exists():
        host.store.link_program(host.program)
    if changed:
        host.must(["systemctl", "daemon-reload"], "Reloading systemd")
        host.must(["systemctl", "enable", "slipway-boot.service"], "Enabling the start at boot")
        host.must(["systemctl", "enable", "--now", "slipway-tend.timer"], "Enabling the timer")
