"""The units of systemd: a release of its own, the boot, and the minute timer. Texts and command lines are pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.host.graph import Updates
from infra.host.host import Host
from infra.host.outcome import HostError

RELEASE_UNIT = "slipway-release"
START_TRIES = 10
RUNNING_STATES = ("active", "activating")
UPDATE_SERVICE, UPDATE_TIMER = "slipway-update.service", "slipway-update.timer"


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


def update_texts(python: str, program: str, updates: Updates) -> Mapping[str, str]:
    """Return the unit files of the security updates by name."""
    return {
        UPDATE_SERVICE: f"""[Unit]
Description=Slipway: install security updates, and restart the host if they need it
Wants=network-online.target
After=network-online.target
# A release may be under way. Two hours of tries, and none in the day after.
StartLimitIntervalSec=7200
StartLimitBurst=12

[Service]
Type=oneshot
ExecStart={python} {program} update
Restart=on-failure
RestartSec=600
""",
        # Not persistent: a host that was stopped in its window does not make up for it at the next boot.
        UPDATE_TIMER: f"""[Unit]
Description=Slipway: security updates each week

[Timer]
OnCalendar={updates.day} *-*-* {updates.hour:02}:00:00 UTC
RandomizedDelaySec=1800

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
    python, program, updates = sys.executable, str(host.store.program), host.graph.updates
    if not host.store.program.exists():
        host.store.link_program(host.program)
    if _write(host, texts(python, program)):
        host.must(["systemctl", "daemon-reload"], "Reloading systemd")
        host.must(["systemctl", "enable", "slipway-boot.service"], "Enabling the start at boot")
        host.must(["systemctl", "enable", "--now", "slipway-tend.timer"], "Enabling the timer")
    if updates is None:
        _remove_updates(host)
    elif _write(host, update_texts(python, program, updates)):
        host.must(["systemctl", "daemon-reload"], "Reloading systemd")
        host.must(["systemctl", "enable", UPDATE_TIMER], "Enabling security updates")
        # A timer that runs keeps its old time otherwise.
        host.must(["systemctl", "restart", UPDATE_TIMER], "Starting the timer of security updates")


def _write(host: Host, units: Mapping[str, str]) -> bool:
    """Write unit files; return True if one was missing or differed."""
    changed = False
    for name, text in units.items():
        file = host.store.units / name
        if not file.is_file() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            file.chmod(0o644)  # systemd warns of another mode at each reload
            changed = True
    return changed


def _remove_updates(host: Host) -> None:
    """Turn security updates off, if they were on. Raises HostError."""
    files = [host.store.units / name for name in (UPDATE_TIMER, UPDATE_SERVICE)]
    if not any(file.exists() for file in files):
        return
    host.must(["systemctl", "disable", "--now", UPDATE_TIMER], "Disabling security updates")
    for file in files:
        file.unlink(missing_ok=True)
    host.must(["systemctl", "daemon-reload"], "Reloading systemd")
