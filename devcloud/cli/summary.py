"""Print the end of `make up`: each image, the changes, the bill, and where the time went."""

from collections.abc import Iterator, Mapping

from devcloud.images.registry import RegistryReader
from devcloud.pulumi.progress import Result
from devcloud.util.console import row, say, seconds
from infra.outputs import StackOutputs

MB = 1_000_000
DONE = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "same": "unchanged"}


def show(outputs: StackOutputs, result: Result, registry: RegistryReader) -> None:
    """Print the summary of an `up`."""
    say("images")
    for image, reference in outputs.images.items():
        repository, _, digest = reference.partition("/")[2].partition("@")
        size = registry.size(repository, digest)
        budget = outputs.size_budgets_mb[image]
        build = result.builds.get(image)
        how = f"{build.how}, {seconds(build.seconds)}" if build else "unchanged"
        unpacked = "" if size.unpacked is None else f"{size.unpacked / MB:.0f} of {budget} MB"
        over = " OVER ITS BUDGET" if size.unpacked and size.unpacked > budget * MB else ""
        say(
            f"  {image:<8} {outputs.content_tags[image]}  {digest[:19]}...  "
            f"{unpacked}{over} ({size.compressed / MB:.0f} MB compressed)  {how}"
        )
    say(changes(result))
    parts = ", ".join(
        f"{part} {usd:.2f}" for part, usd in sorted(outputs.monthly_cost_usd_by_part.items(), key=lambda item: -item[1])
    )
    budget = outputs.monthly_budget_usd
    total = outputs.monthly_cost_usd
    verdict = "within" if total <= budget else "OVER"
    say(f"on AWS     about ${total:.2f} a month, {verdict} the budget of ${budget} ({parts})")
    row("address", outputs.api_url)
    if outputs.worker:
        row("queue", outputs.worker.queue_url)
    say("time")
    for phase, took in timeline(result):
        row(phase, took)


def timeline(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the phases of an `up` with their times: its builds, the release on the host, and the whole."""
    built = {image: build for image, build in result.builds.items() if build.seconds}
    if built:
        yield "build", _each({image: max(0.0, build.seconds - build.push_seconds) for image, build in built.items()})
        yield "push", _each({image: build.push_seconds for image, build in built.items()})
    for phase, took in result.host.items():
        yield phase, seconds(took)
    yield "total", seconds(result.seconds)


def _each(times: Mapping[str, float]) -> str:
    return ", ".join(f"{image} {seconds(took)}" for image, took in times.items())


def changes(result: Result) -> str:
    """Return the line about what an `up` did to the resources."""
    done = ", ".join(f"{count} {DONE.get(operation, operation)}" for operation, count in sorted(result.changes.items()))
    return f"resources  {done} in {seconds(result.seconds)}"
