"""What `make up` ends with: each image, what was done, the bill."""

from collections.abc import Mapping
from typing import Any

from devcloud.images.registry import RegistryReader
from devcloud.pulumi.progress import Result
from devcloud.util.console import row, say, seconds

MB = 1_000_000


def show(outputs: Mapping[str, Any], result: Result, registry: RegistryReader) -> None:
    """Print the summary of an `up`."""
    say("images")
    for image, reference in outputs["images"].items():
        repository, _, digest = reference.partition("/")[2].partition("@")
        size = registry.size(repository, digest)
        budget = outputs["sizeBudgetsMb"][image]
        build = result.builds.get(image)
        how = f"{build.how}, {seconds(build.seconds)}" if build else "unchanged"
        unpacked = "" if size.unpacked is None else f"{size.unpacked / MB:.0f} of {budget} MB"
        over = " OVER ITS BUDGET" if size.unpacked and size.unpacked > budget * MB else ""
        say(
            f"  {image:<8} {outputs['contentTags'][image]}  {digest[:19]}...  "
            f"{unpacked}{over} ({size.compressed / MB:.0f} MB compressed)  {how}"
        )
    changes = ", ".join(f"{count} {_past(operation)}" for operation, count in sorted(result.changes.items()))
    say(f"resources  {changes} in {seconds(result.seconds)}")
    parts = ", ".join(
        f"{part} {usd:.2f}" for part, usd in sorted(outputs["monthlyCostUsdByPart"].items(), key=lambda item: -item[1])
    )
    budget = outputs["monthlyBudgetUsd"]
    total = outputs["monthlyCostUsd"]
    verdict = "within" if total <= budget else "OVER"
    say(f"on AWS     about ${total:.2f} a month, {verdict} the budget of ${budget} ({parts})")
    row("api", outputs["apiUrl"])
    row("queue", outputs["queueUrl"])


def _past(operation: str) -> str:
    known = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "same": "unchanged"}
    return known.get(operation, operation)
