"""How the models of a stack reach the worker's build."""

import ast
import json

from images.worker.model_list import parse
from infra import ROOT
from infra.builds.plan import BuildPlan, plan_builds
from infra.settings.images import RANDOM_SHAPES
from tests.infra.conftest import settings_of

RANDOM = {"name": "random-bert", "source": "random", "reference": "bert-base", "revision": "7"}


def worker(*models: dict[str, str]) -> BuildPlan:
    images = {"torch": {"source": "pypi"}, "models": list(models)}
    return plan_builds(settings_of("dev", {"slipway:images": images}), ROOT)["worker"]


def test_the_build_gets_all_models_as_one_argument_that_it_can_read() -> None:
    given = worker(RANDOM, RANDOM | {"name": "random-other", "export": "float32"}).build_args["MODELS"]
    assert [(model.name, model.export) for model in parse(given)] == [
        ("random-bert", "int8"),
        ("random-other", "float32"),
    ]
    assert given == json.dumps(json.loads(given), sort_keys=True, separators=(",", ":"))
    assert '"source":"random"' in given, "the Dockerfile looks for it in this form"


def test_another_model_is_another_image() -> None:
    one, other = worker(RANDOM), worker(RANDOM | {"revision": "8"})
    assert one.content_tag != other.content_tag


def test_the_order_of_models_counts_for_the_first_is_the_encoder() -> None:
    second = RANDOM | {"name": "random-other"}
    assert worker(RANDOM, second).content_tag != worker(second, RANDOM).content_tag


def test_a_model_in_a_folder_is_part_of_the_context_under_its_name() -> None:
    # Any folder of the checkout will do here: what is in it, the build checks.
    plan = worker({"name": "ours", "source": "folder", "reference": "images/base"})
    staged = {file.path: file.source for file in plan.files if file.path.startswith("models/")}
    assert staged["models/ours/VERSION"] == ROOT / "images/base/VERSION"


def test_the_shapes_of_random_models_are_those_that_the_build_knows() -> None:
    # Read, not imported: it needs torch.
    tree = ast.parse((ROOT / "images/worker/random_model.py").read_text())
    (shapes,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SHAPES"
    ]
    assert shapes is not None
    assert tuple(ast.literal_eval(shapes)) == RANDOM_SHAPES
