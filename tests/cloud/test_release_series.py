"""Twenty releases under load, one after the other: none fails a request. For `make soak`."""

import random
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cloud.releases import Release, wait_for_the_drain
from tests.cloud.test_rollback import ADDS_A_COLUMN, MIGRATION

pytestmark = [pytest.mark.cloud, pytest.mark.soak, pytest.mark.timeout(3600)]

CODE_TO_SERVING_SECONDS = 3 * 45
MEDIAN_SECONDS = 3 * 25
"""Both are three times the bar: the cloud, the builds and the load share the machine."""
API, DASHBOARD, WEB = "app/api/routes.py", "app/dashboard/pages.py", "app/web/index.html"
SERIES = [(API,)] * 10 + [(WEB,)] * 5 + [(DASHBOARD,)] * 3 + [(API, WEB)] * 2
"""The files that each release changes; a migration comes with the first that changes all services."""
KINDS = {(API,): "the API", (WEB,): "the page", (DASHBOARD,): "the dashboard", (API, WEB): "all"}


def test_twenty_releases_under_load_fail_no_request(release: Release, note: Callable[[str], None]) -> None:
    order = random.Random(release.report.seed).sample(SERIES, len(SERIES))
    took: dict[str, list[float]] = {kind: [] for kind in KINDS.values()}
    memory: dict[str, int] = {}
    for number, files in enumerate(order, 1):
        for file in files:
            change(release.checkout.root / file, number)
        if files == (API, WEB) and not took["all"]:
            (release.checkout.root / MIGRATION).write_text(ADDS_A_COLUMN)
        before = release.parameter
        _, seconds = release.up_well()
        took[KINDS[files]].append(seconds)
        sys.stdout.write(f"release {number} of {len(order)}, {KINDS[files]}: {seconds:.1f} s\n")
        assert release.parameter != before
        for service, mib in memory_mib(release).items():
            memory[service] = max(memory.get(service, 0), mib)
        assert release.failed() == []
        wait_for_the_drain(release)
    everything = [seconds for each in took.values() for seconds in each]
    for kind, each in [*took.items(), ("any", everything)]:
        says = f"{len(each)} releases: {min(each):.1f} to {max(each):.1f} s"
        release.report.add(1, f"a change of {kind}, by `up`: the median", "serves", statistics.median(each), says)
        note(f"releases: a change of {kind}: median {statistics.median(each):.1f} s; {says}")
    says = ", ".join(f"{service} {mib}" for service, mib in sorted(memory.items()))
    release.report.add(1, "most MiB of a container while two generations run", "measured", None, says)
    assert max(everything) < CODE_TO_SERVING_SECONDS
    assert statistics.median(everything) < MEDIAN_SECONDS
    assert release.failed() == []


def change(file: Path, number: int) -> None:
    """Change a file in a way that its image shows: a page's comments go with its build, so its title changes."""
    text = file.read_text()
    if file.suffix == ".html":
        file.write_text(re.sub(r"<title>.*?</title>", f"<title>Release {number}</title>", text))
    else:
        file.write_text(f"{text}# release {number}\n")
    assert file.read_text() != text, file


def memory_mib(release: Release) -> dict[str, int]:
    """Return the memory of each service's containers on the host; the larger of two generations."""
    listed = release.on_host("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    found: dict[str, int] = {}
    for name, number, unit in re.findall(r"^\S*-(\w+) ([\d.]+)([KMG])iB", listed, re.MULTILINE):
        mib = round(float(number) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit])
        found[name] = max(found.get(name, 0), mib)
    assert found, listed
    return found
