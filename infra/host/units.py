"""The units of systemd: a release of its own, the boot, and the minute timer. Texts and command lines are pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.host.graph import Backups, Updates
from infra.host.host import Host
from infra.host.outcome import HostError

RELEASE_UNIT = "slipway-release"
START_TRIES = 10
TRIES = """# A release or a boot may be under way: twelve tries in two hours, then none for the rest of the day. systemd
# counts the tries of this time from the first one, so it has to be longer than they take, and shorter than a day.
StartLimitIntervalSec=72000
StartLimitBurst=12"""
RUNNING_STATES = ("active", "activating")
UPDATE_SERVICE, UPDATE_TIMER = "slipway-update.service", "slipway-update.timer"
BACKUP_SERVICE, BACKUP_TIMER = "slipway-backup.service", "slipway-backup.timer"
BACKUP_UNIT = "slipway-data"
"""Of a backup or restore by hand."""


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
{TRIES}

[Service]
Type=oneshot
ExecStart={python} {program} update
# If memory runs out, dnf ends and not the product.
OOMScoreAdjust=1000
# And the program goes on, to start again what it had stopped for the restart.
OOMPolicy=continue
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


def backup_texts(python: str, program: str, backups: Backups) -> Mapping[str, str]:
    """Return the unit files of the nightly dump by name."""
    return {
        BACKUP_SERVICE: f"""[Unit]
Description=Slipway: dump the data
After=docker.service
{TRIES}

[Service]
Type=oneshot
ExecStart={python} {program} dump
Restart=on-failure
RestartSec=600
""",
        BACKUP_TIMER: f"""[Unit]
Description=Slipway: dump the data each night

[Timer]
OnCalendar=*-*-* {backups.hour:02}:00:00 UTC
# A host that was stopped at that hour makes up for it.
Persistent=true

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


def is_running(host: Host, unit: str) -> bool:
    """Return True if a unit runs, or waits for its restart."""
    return host.machine.run(["systemctl", "is-active", unit]).stdout.strip() in RUNNING_STATES


def start_release(host: Host) -> None:
    """Carry out the open release in its unit, unless that runs already. Raises HostError."""
    for attempt in range(START_TRIES):
        # A unit that waits for its restart is `activating`, and goes on by itself; systemd-run would refuse its name.
        if is_running(host, RELEASE_UNIT):
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
    _set_timer(host, UPDATE_TIMER, update_texts(python, program, updates) if updates else {}, "security updates")
    dumped = any(service.dump for service in host.graph.services.values())
    _set_timer(host, BACKUP_TIMER, backup_texts(python, program, host.graph.backups) if dumped else {}, "backups")


def _set_timer(host: Host, timer: str, units: Mapping[str, str], purpose: str) -> None:
    """Have a timer and its service run as in their unit files, or not at all without those. Raises HostError."""
    if not units:
        _remove(host, timer, purpose)
    elif _write(host, units):
        host.must(["systemctl", "daemon-reload"], "Reloading systemd")
        host.must(["systemctl", "enable", timer], f"Enabling {purpose}")
        # A timer that runs keeps its old time otherwise.
        host.must(["systemctl", "restart", timer], f"Starting the timer of {purpose}")


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


def _remove(host: Host, timer: str, purpose: str) -> None:
    """Remove a timer and its service, if they are there. Raises HostError."""
    files = [host.store.units / name for name in (timer, timer.replace(".timer", ".service"))]
    if not any(file.exists() for file in files):
        return
    host.must(["systemctl", "disable", "--now", timer], f"Disabling {purpose}")
    for file in files:
        file.unlink(missing_ok=True)
    host.must(["systemctl", "daemon-reload"], "Reloading systemd")
