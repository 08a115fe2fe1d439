"""Commands that ask a stack that is up: on the cloud on this machine, or with `--cloud aws` on the shell's account."""

import json
import os
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import click

from devcloud.bootstrap import ROOT
from devcloud.cli.context import Command, cli
from devcloud.util.console import answer, row, say, seconds
from devcloud.util.processes import output
from infra.outputs import parse
from infra.releases.live import LiveStack, Snapshots, Worker

AWS = "aws"
"""No cloud on this machine: the account, credentials and state that the user's shell names."""
LINES, LINES_EACH = 100, 10
"""Lines of one service's log, and of each if all are shown."""
DISPLAYS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
"""Variables of a session that can show a browser."""


def live(command: Command, stack: str) -> LiveStack:
    """Return a stack that is up. Raise UserError if it is not."""
    if command.cloud.name == AWS:
        found = output(["pulumi", "stack", "output", "--json", "--stack", stack, "--non-interactive"], cwd=ROOT)
        outputs = parse(stack, json.loads(found))
        return LiveStack(stack, outputs, lambda service: boto3.client(service, region_name=outputs.region))  # type: ignore[call-overload]
    command.running_services()
    outputs = command.stack(stack).outputs()
    return LiveStack(stack, outputs, lambda service: command.cloud.aws.client(service, outputs.region))


@cli.command()
def status(command: Command) -> int:
    """Show what serves on the stack's host, its worker and its queue."""
    stack = live(command, command.stack_name)
    report = stack.status()
    say(f"stack {stack.name} at {stack.outputs.api_url}")
    for subject, text in [*described(report, datetime.now(UTC).timestamp()), *counted(stack.worker())]:
        row(subject, text)
    return 0 if all(service["running"] for service in report["services"].values()) else 1


def described(report: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    """Yield the rows of a host's report, each with its subject; `now` is in seconds since 1970."""
    if report["release"] is None:
        yield "release", "none serves yet"
    else:
        since = datetime.fromtimestamp(report["since"], UTC)
        yield "release", f"{report['release']} since {since:%Y-%m-%d %H:%M:%S} UTC ({_age(now - report['since'])})"
    if report["underWay"] and report["underWay"] == report["release"]:
        yield "ending", "what it replaced is being stopped: the next `up` waits for that"
    elif report["underWay"]:
        yield "under way", f"{report['underWay']}, in the step `{report['step']}`: the next `up` waits for it"
    if kept := [release for release in report["kept"] if release != report["release"]]:
        yield "kept", f"{', '.join(kept)}, whose images are on the host"
    yield "host", f"{report['freeMemoryMib']} MiB of memory free"
    for name, service in sorted(report["services"].items()):
        state = f"running, {service['memory'] or '?'} of {service['memoryMib']} MiB" if service["running"] else "DOWN"
        yield name, f"{state}, {service['restarts']} restarts, {service['digest']}"


def counted(worker: Worker | None) -> Iterable[tuple[str, str]]:
    """Return the rows of the worker and its queue."""
    if worker is None:
        return ()
    return (
        ("tasks", f"{worker.running} of {worker.desired} run"),
        ("queue", f"{worker.waiting} messages wait, {worker.taken} are taken, {worker.dead} were given up"),
    )


def _age(span: float) -> str:
    """Return a time span as a person says it."""
    for unit, length in (("days", 86_400), ("hours", 3_600)):
        if span >= 2 * length:
            return f"for {span / length:.0f} {unit}"
    return f"for {seconds(max(0.0, span))}"


@cli.command()
@click.argument("service", default="")
def logs(command: Command, service: str) -> None:
    """Show the end of every service's log on the stack's host, or more of one's."""
    stack = live(command, command.stack_name)
    for name in [service] if service else sorted(stack.status()["services"]):
        answer(f"==> {name}")
        answer(stack.logs(name, LINES if service else LINES_EACH).rstrip())


@cli.command()
@click.argument("service")
def restart(command: Command, service: str) -> None:
    """Restart one service on the stack's host; its requests fail until it is back."""
    stack = live(command, command.stack_name)
    stack.restart(service)
    say(f"{service} of stack {stack.name} was restarted")


@cli.command()
def backup(command: Command) -> None:
    """Dump the data of the stack's host now, beside the nightly dumps."""
    stack = live(command, command.stack_name)
    say(f"stack {stack.name} has the dump {stack.backup()}")


@cli.command()
def backups(command: Command) -> None:
    """List the dumps on the stack's host and the snapshots of its data volume, the newest first."""
    stack = live(command, command.stack_name)
    for subject, text in dump_rows(stack.backups()):
        row(subject, text)
    # Asked for only now: a shell without the rights for snapshots sees the dumps.
    for subject, text in snapshot_rows(stack.snapshots(), datetime.now(UTC)):
        row(subject, text)


def dump_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of a host's report on its dumps."""
    for name, size in sorted(report["dumps"].items(), reverse=True):
        made = datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        age = max(0.0, report["now"] - made)
        yield name, f"{size / 1e6:.2f} MB, {age / 3600:.1f} hours old"
    if not report["dumps"]:
        yield "dumps", "none yet"
    if report["underWay"]:
        yield "under way", "a backup or a restore"
    if (last := report["last"]) and last["error"]:
        yield "FAILED", f"the last {last['work']}, of {last['dump']}: {last['error']}"


def snapshot_rows(snapshots: Snapshots | None, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the rows of the data volume's snapshots."""
    if snapshots is None:
        return
    for each in snapshots.made:
        hours = max(0.0, (now - each["StartTime"]).total_seconds()) / 3600
        yield (
            each["SnapshotId"],
            f"of {each['VolumeId']}, {each['VolumeSize']} GiB, {each['State']}, {hours:.1f} hours old",
        )
    if not snapshots.made:
        yield "snapshots", "none yet"
    if snapshots.problem:
        yield "FAILED", f"AWS makes no snapshots: {snapshots.problem} (docs/runbook.md, Snapshots)"


@cli.command()
@click.option("--from", "dump", metavar="DUMP", default="", help="Name of the dump, as `backups` lists it.")
def restore(command: Command, dump: str) -> None:
    """Replace the data on the stack's host by a dump, by default the newest."""
    stack = live(command, command.stack_name)
    say(f"stack {stack.name} has the data of the dump {stack.restore(dump)}")


@cli.command("open")
def open_page(command: Command) -> None:
    """Print the address of the stack's page, and open it if there is a browser."""
    address = live(command, command.stack_name).outputs.api_url
    answer(address)
    # Without a display a browser in the terminal would be started.
    if any(os.environ.get(name) for name in DISPLAYS) and not webbrowser.open(address):
        say("no browser could be started: open the address yourself")
