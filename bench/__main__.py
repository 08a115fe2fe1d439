"""`python -m bench`: measure what is not measured yet, then write the tables, the plots and the page."""

import os
import platform
import re
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil

from bench import pages, plots, report
from bench.builds import Tools
from bench.checkout import Checkout
from bench.plan import BAKE, Step, steps
from bench.results import NOTE, Results
from bench.session import Bench, Session
from bench.store import Store
from devcloud.bootstrap import ROOT, cache_folder
from devcloud.cli.context import Command
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import BUILDER
from devcloud.pulumi.stack_config import LOCAL
from devcloud.toolchain import debian, golang, versions
from devcloud.toolchain.work import Work
from devcloud.util.commands import invoke
from devcloud.util.console import row, say, seconds
from devcloud.util.console import step as progress
from devcloud.util.locks import locked, only_one
from devcloud.util.processes import output

CLOUD = "bench"
"""A cloud of the bench's own: the one that `make up` left running is not touched."""
DOCS = ROOT / "docs"
MEASURED = ("app", "images", "infra", "bench", "devcloud/images/build.py", "Pulumi.local.yaml")
"""The files that the figures are about: a change elsewhere leaves them true."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each measurement.")
@click.option("--only", default="", help="Scenarios, groups, contenders and models, with commas between.")
@click.option("--fresh", is_flag=True, help="Forget what was measured before.")
@click.option("--report", "report_only", is_flag=True, help="Measure nothing: write the pages from docs/benchmarks.")
@click.option("--note", default="", help="What a reader should know of the circumstances: on the pages.")
@click.option("--list", "list_only", is_flag=True, help="Print the measurements that are still to be made.")
def bench(runs: int, only: str, fresh: bool, report_only: bool, note: str, list_only: bool) -> int:
    """Measure Slipway against common alternatives."""
    file = cache_folder() / "bench" / "results.json"
    if fresh and not report_only:
        file.unlink(missing_ok=True)
    results = Results.load(DOCS / "benchmarks" / "results.json") if report_only else Results(file, facts())
    if note:
        results.facts[NOTE] = note
    if not report_only:
        names = [name.strip() for name in only.split(",") if name.strip()]
        planned = list(steps(runs, names, results.done))
        if list_only:
            print("\n".join(map(str, planned)))
            return 0
        with only_one(file.parent / "lock", "make bench"):
            measure(planned, results)
    return write(results)


def measure(planned: list[Step], results: Results) -> None:
    """Make the measurements on a cloud of their own, which is ended after them."""
    if not planned:
        say("everything is measured")
        return
    command = Command(Cloud.named(CLOUD), LOCAL)
    session: Session | None = None
    begun = time.monotonic()
    try:
        command.start()
        shared = prepared(command, any(step.contender == BAKE for step in planned))
        for number, step in enumerate(planned, 1):
            if session is None or (session.model, session.contender) != (step.model, step.contender):
                if session:
                    session.end()
                session = Session(shared, step.model, step.contender)
            with progress(f"{number} of {len(planned)}", str(step)):
                figures = session.measure(step)
            results.add(step, figures, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            row("", ", ".join(f"{name} {value:,.4g}" for name, value in figures.items()))
    finally:
        if session:
            session.end()
        command.services.stop()
    say(f"bench: {len(planned)} measurements in {seconds(time.monotonic() - begun)}; results in {results.file}")


def prepared(command: Command, wants_bake: bool) -> Bench:
    """Return what sessions share: wrk, buildx if bake is measured, the copy of the repository."""
    cloud, tools = command.cloud, command.toolchain
    with Work(say) as work:
        if shutil.which("wrk") is None:
            debian.install(["wrk"], cloud.cache, work)
        buildx = _buildx(cloud.cache, work) if wants_bake else None
    build_tools = Tools(
        buildctl=tools.buildctl,
        buildx=buildx,
        address=cloud.buildkit_address,
        builder=BUILDER,
        environment=command.variables(),
    )
    return Bench(command.services, build_tools, Checkout(cloud.folder / "checkout"), Store(cloud.folder / "registry"))


def _buildx(cache: Path, work: Work) -> Path:
    """Return the buildx plugin: the one that Docker finds, else one that is built from its module."""
    for folder in (Path.home() / ".docker", Path("/usr/libexec/docker"), Path("/usr/lib/docker")):
        plugin = folder / "cli-plugins" / "docker-buildx"
        if os.access(plugin, os.X_OK):
            return plugin
    done = golang.built(golang.BUILDX, cache)
    if done is None:
        with locked(cache / "toolchain" / "lock", lambda: work.say("buildx", "waiting for another make")):
            go = golang.find(cache) or golang.get(cache, work)
            done, _ = golang.build(golang.BUILDX, cache, go, work)
    return done / "buildx"


def write(results: Results) -> int:
    """Write the tables, the results, the plots and the page; return 1 if a ratio below 1 is not explained."""
    folder = DOCS / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    rows = report.rows(results)
    drawn = plots.draw(rows)
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg)
    (folder / "results.json").write_text(results.to_json())
    (DOCS / "benchmarks.md").write_text(pages.markdown(rows, results, drawn))
    (folder / "index.html").write_text(pages.html(rows, results, drawn))
    say(f"written: docs/benchmarks.md, docs/benchmarks/index.html, {len(drawn)} plots, results.json")
    unexplained = report.unexplained(rows)
    for line in unexplained:
        say(f"not explained: {line}")
    return 1 if unexplained else 0


def facts() -> dict[str, str]:
    """Return what is measured where."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = psutil.virtual_memory().total
    changed = output(["git", "status", "--porcelain", "--untracked-files=no", "--", *MEASURED], cwd=ROOT).strip()
    commit = output(["git", "log", "-1", "--format=%h", "--", *MEASURED], cwd=ROOT).strip()
    return {
        "commit": f"{commit}{' and changes' if changed else ''}",
        "machine": f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}, {memory // 1024**3} GiB",
        "system": f"{debian.distribution()}, Linux {platform.release()}, Python {platform.python_version()}",
        "builder": f"BuildKit {versions.BUILDKIT}, buildx {versions.BUILDX}",
    }


if __name__ == "__main__":
    sys.exit(invoke(bench, "make bench"))
