"""Compare our graph of each Dockerfile with the one that BuildKit builds by."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from devcloud.images.dockerfile_graph import MAKES_A_LAYER, Build, read
from devcloud.images.model_export import TARGET
from infra import settings
from infra.builds.plan import PARENT_ARGUMENT, plan_builds
from infra.product import product_of
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

Graph = dict[int, tuple[set[int], set[str], set[str]]]
"""By the line of each step: the lines of all steps that it needs, what it reads of the context, and its arguments."""


def our_graph(build: Build) -> Graph:
    """Return the graph as we read it; of the arguments, those of RUN."""
    needed: dict[int, set[int]] = {}
    graph: Graph = {}
    lines = {step.number: {step.line} if step.keyword in MAKES_A_LAYER else set() for step in build.steps}
    for step in build.steps:
        needed[step.number] = set().union(*(needed[number] | lines[number] for number in step.after))
        if step.keyword in MAKES_A_LAYER:
            arguments = set(step.arguments) if step.keyword == "RUN" else set()
            graph[step.line] = needed[step.number], set(step.reads), arguments
    return graph


def buildkits_graph(document: Mapping[str, Any], arguments: set[str]) -> Graph:
    """Return BuildKit's graph, from the answer to `frontend.convertllb`: operations of its solver, by digest."""
    operations = document["def"]
    lines = {
        digest: {found["ranges"][0]["start"]["line"] for found in locations["locations"]}
        for digest, locations in document["source"]["locations"].items()
        if "file" in operations[digest] or "exec" in operations[digest]
    }

    def inputs(digest: str) -> list[str]:
        return [found["digest"] for found in operations[digest].get("inputs", [])]

    def needed(digest: str) -> set[int]:
        return set().union(*(needed(found) | lines.get(found, set()) for found in inputs(digest)))

    def from_context(digest: str, place: str) -> bool:
        source = operations[inputs(digest)[int(place)]].get("source", {})
        return bool(source.get("identifier") == "local://context")

    graph: Graph = {}
    for digest, (line,) in lines.items():
        operation = operations[digest]
        copies = [action for action in operation.get("file", {}).get("actions", []) if "copy" in action]
        read = {copy["copy"]["src"] for copy in copies if from_context(digest, copy.get("secondaryInput", "0"))}
        run = operation.get("exec", {"mounts": [], "meta": {}})
        mounts = [mount for mount in run["mounts"] if mount.get("input", "0") != "-1"]
        read |= {mount.get("selector", "") for mount in mounts if from_context(digest, mount.get("input", "0"))}
        known = {variable.partition("=")[0] for variable in run["meta"].get("env", [])}
        graph[line] = needed(digest), {path.strip("/") for path in read}, known & arguments
    return graph


@pytest.mark.parametrize(("image", "target"), [*((image, "") for image in product_of().images), ("worker", TARGET)])
def test_our_graph_is_buildkits_own(up: Checkout, image: str, target: str) -> None:
    plan = plan_builds(settings.load_file(up.root / "Pulumi.local.yaml", "local", up.root), up.root)[image]
    arguments = dict(plan.build_args)
    if plan.parent:
        arguments[PARENT_ARGUMENT] = up.outputs()["images"][plan.parent]
    ours = read(up.root / plan.dockerfile, arguments, target or None)
    answer = up.ask_buildkit("frontend.convertllb", up.root, plan.dockerfile, arguments, target)
    # buildctl prints the answer's name, `result.json`, before it.
    document = json.loads(answer.partition("\n")[2])
    assert our_graph(ours) == buildkits_graph(document, set(ours.arguments))
