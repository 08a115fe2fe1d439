"""What a change to an image of ours rebuilds, told from its Dockerfile without building anything."""

import pytest

from devcloud.images.dockerfile_graph import Build, Step, read
from infra import ROOT
from infra.builds.plan import PARENT_ARGUMENT, plan_builds
from tests.infra.conftest import settings_of

SOURCES = {
    "hub": {"name": "m", "source": "hub", "reference": "owner/m", "revision": "0" * 40},
    "wheel": {"name": "m", "source": "wheel", "reference": "a-model", "revision": "1.0", "sha256": "0" * 64},
}


@pytest.fixture(params=SOURCES)
def worker(request: pytest.FixtureRequest) -> Build:
    """The worker's build, with its model from each source."""
    images = {"torch": {"source": "pypi"}, "models": [SOURCES[request.param]]}
    plan = plan_builds(settings_of("dev", {"slipway:images": images}), ROOT)["worker"]
    return read(ROOT / plan.dockerfile, {**plan.build_args, PARENT_ARGUMENT: "base@sha256:0"})


def runs(build: Build, changed: tuple[Step, ...]) -> str:
    """What runs again, as one text."""
    assert changed
    return "\n".join(step.text for step in build.again(changed) if step.keyword == "RUN")


def test_a_changed_base_fetches_no_model_again(worker: Build) -> None:
    again = runs(worker, worker.users(PARENT_ARGUMENT))
    assert "export_model" in again
    assert "fetch_model" not in again


def test_a_changed_requirement_of_the_worker_neither_fetches_nor_exports_a_model_again(worker: Build) -> None:
    again = runs(worker, worker.readers("images/worker/requirements.lock"))
    assert "pip install" in again
    assert "fetch_model" not in again
    assert "export_model" not in again


def test_a_line_of_the_workers_code_neither_installs_nor_fetches_nor_exports_again(worker: Build) -> None:
    again = runs(worker, worker.readers("app/worker/work.py"))
    for step in ("pip install", "fetch_model", "export_model", "embed_prototypes"):
        assert step not in again


def test_another_model_installs_nothing_that_runs_again(worker: Build) -> None:
    model = [argument for argument in worker.arguments if argument.startswith("MODEL")]
    again = runs(worker, tuple(step for argument in model for step in worker.users(argument)))
    assert "fetch_model" in again
    assert "export_model" in again
    assert "/requirements.lock" not in again


def test_a_line_of_the_api_installs_nothing_again() -> None:
    plan = plan_builds(settings_of("dev", {"slipway:images": {"torch": {"source": "pypi"}}}), ROOT)["api"]
    build = read(ROOT / plan.dockerfile, plan.build_args)
    changed = build.readers("app/api/routes.py")
    assert "pip install" not in runs(build, changed)
    assert [step.text for step in build.made_of(changed)] == ["COPY --from=code /out/ /"]
