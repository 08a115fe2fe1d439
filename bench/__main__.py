"""`python -m bench`: measure what is not measured yet, then write the table, the plots and the page."""

import argparse
import os
import platform
import re
import shutil
import sys
import time
from pathlib import Path

from bench import page, plots, report
from bench.builds import Tools
from bench.checkout import Checkout
from bench.plan import Step, steps
from bench.results import NOTE, Record, Results
from bench.session import Bench, Session, now
from bench.store import Store
from devcloud.bootstrap import ROOT, cache_folder
from devcloud.cli.context import Command
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import BUILDER
from devcloud.pulumi.stack_config import LOCAL
from devcloud.toolchain import debian, golang, versions
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError, row, say, seconds
from devcloud.util.console import step as progress
from devcloud.util.locks import locked, only_one
from devcloud.util.processes import output
from infra.lib.errors import InputError

CLOUD = "bench"
"""A cloud of the bench's own: what `make up` left running is not touched."""
DOCS = ROOT / "docs"


def main() -> int:
    """Run the command; 0 where all is measured and every ratio below 1 is explained."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (default: 3)")
    parser.add_argument("--only", default="", help="scenarios, groups, contenders and models, with commas between")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--report", action="store_true", help="measure nothing: write the pages from docs/benchmarks")
    parser.add_argument("--note", default="", help="what a reader should know of the circumstances: on the pages")
    parser.add_argument("--list", action="store_true", help="print the measurements that are still to be made")
    asked = parser.parse_args()
    try:
        if asked.runs < 1:
            raise UserError(f"RUNS={asked.runs} is no number of runs: use 1 or more.")
        results_file = cache_folder() / "bench" / "results.json"
        if asked.report:
            results = Results.load(DOCS / "benchmarks" / "results.json")
            noted(results, asked.note)
            return write(results)
        if asked.fresh:
            results_file.unlink(missing_ok=True)
        results = Results(results_file, facts())
        noted(results, asked.note)
        only = [name.strip() for name in asked.only.split(",") if name.strip()]
        planned = list(steps(asked.runs, only, results.done))
        if asked.list:
            print("\n".join(map(str, planned)))
            return 0
        with only_one(results_file.parent / "lock", "make bench"):
            measure(planned, results)
        return write(results)
    except InputError as problem:
        say(f"\n{problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        say("\nstopped; the next `make bench` goes on from here")
        return 130


def noted(results: Results, note: str) -> None:
    """Have a person's note among the facts, in place of the one before."""
    if note:
        results.facts[NOTE] = note


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
        bench = prepared(command, any(step.contender == "bake" for step in planned))
        for number, step in enumerate(planned, 1):
            if session is None or (session.model, session.contender) != (step.model, step.contender):
                if session:
                    session.end()
                session = Session(bench, step.model, step.contender)
            with progress(f"{number} of {len(planned)}", str(step)):
                figures = session.measure(step)
            results.add(Record(step, figures, now()))
            row("", ", ".join(f"{name} {value:,.4g}" for name, value in figures.items()))
    finally:
        if session:
            session.end()
        command.services.stop()
    say(f"bench: {len(planned)} measurements in {seconds(time.monotonic() - begun)}; results in {results.file}")


def prepared(command: Command, wants_bake: bool) -> Bench:
    """What sessions need: wrk, buildx where bake is measured, the copy of the repository."""
    cloud, tools, cache = command.cloud, command.toolchain, command.cloud.cache
    buildx = None
    with Work(say) as work:
        if shutil.which("wrk") is None:
            debian.install(["wrk"], cache, work)
        if wants_bake:
            buildx = _buildx(cache, work)
    build_tools = Tools(
        buildctl=tools.buildctl,
        buildx=buildx,
        address=cloud.buildkit_address,
        builder=BUILDER,
        environment=cloud.variables(tools.bin, tools.pulumi_home),
    )
    checkout = Checkout(cloud.folder / "checkout")
    return Bench(command.services, build_tools, checkout, Store(cloud.folder / "registry"))


def _buildx(cache: Path, work: Work) -> Path:
    """The buildx plugin: this machine's where Docker finds it, else built from its module, for the bench alone."""
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
    """Write the table, the results, the plots and the page; 1 where a ratio below 1 is not explained."""
    folder = DOCS / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    rows = report.rows(results)
    drawn = plots.draw(rows)
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg)
    (folder / "results.json").write_text(results.to_json())
    (DOCS / "benchmarks.md").write_text(report.markdown(rows, results, list(drawn)))
    (folder / "index.html").write_text(page.render(rows, results, drawn))
    say(f"written: docs/benchmarks.md, docs/benchmarks/index.html, {len(drawn)} plots, results.json")
    unexplained = report.unexplained(rows)
    for line in unexplained:
        say(f"not explained: {line}")
    return 1 if unexplained else 0


def facts() -> dict[str, str]:
    """What was measured where."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    changed = output(["git", "status", "--porcelain", "--untracked-files=no", "--", *MEASURED], cwd=ROOT).strip()
    commit = output(["git", "log", "-1", "--format=%h", "--", *MEASURED], cwd=ROOT).strip()
    return {
        "commit": f"{commit}{' and changes' if changed else ''}",
        "machine": f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}, "
        f"{int(memory[1]) // 1024**2 if memory else 0} GiB",
        "system": f"{debian.distribution()}, Linux {platform.release()}, Python {platform.python_version()}",
        "builder": f"BuildKit {versions.BUILDKIT}, buildx {versions.BUILDX}",
    }


MEASURED = ("app", "images", "infra", "bench", "devcloud/images/build.py", "Pulumi.local.yaml")
"""What the figures are about: a change elsewhere leaves them true."""

if __name__ == "__main__":
    sys.exit(main())
