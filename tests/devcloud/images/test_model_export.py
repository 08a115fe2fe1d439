"""The worker's model as a folder: what it is made of, and so when it is built again."""

from dataclasses import replace
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.images import model_export
from devcloud.images.build import buildctl
from devcloud.images.dockerfile_graph import read
from infra import settings as settings_module
from infra.builds.content import ContextFile
from infra.builds.plan import BuildPlan, plan_builds


@pytest.fixture(scope="module")
def plans() -> dict[str, BuildPlan]:
    return plan_builds(settings_module.load_file(ROOT / "Pulumi.local.yaml", "local", ROOT), ROOT)


def changed(plan: BuildPlan, path: str) -> BuildPlan:
    def other(file: ContextFile) -> ContextFile:
        return replace(file, sha256="0" * 64) if file.path == path else file

    assert any(file.path == path for file in plan.files)
    return replace(plan, files=tuple(map(other, plan.files)))


def test_the_stage_copies_the_models_as_the_image_that_runs_does() -> None:
    stage, image = (read(ROOT / "images/worker/Dockerfile", {}, target) for target in (model_export.TARGET, None))
    first, *copies = [step.text for step in stage.last_stage]
    assert first.startswith("FROM scratch ")
    assert copies == ["COPY --from=exported /out/ /", "COPY --from=prototypes /made/ /"]
    assert set(copies) < {step.text for step in image.last_stage}
    for name in ("/out/", "/made/"):
        assert any(f" {name}{model_export.INSIDE}" in step.text for step in stage.steps)


def test_the_worker_s_loop_does_not_make_its_model_anew_but_the_exporter_does(plans: dict[str, BuildPlan]) -> None:
    def key(plan: BuildPlan, base: str = "base") -> str:
        return model_export.key(plan, base)

    worker = plans["worker"]
    before = key(worker)
    assert key(changed(worker, "app/worker/work.py")) == before
    assert key(changed(worker, "images/worker/requirements.lock")) == before
    for path in ("images/worker/fetch_model.py", "images/worker/export_model.py", "app/worker/encoder.py"):
        assert key(changed(worker, path)) != before
    assert key(changed(worker, "app/common/names.py")) != before
    # What the categories are, and how a name is told to be one.
    assert key(changed(worker, "app/worker/categories.json")) != before
    assert key(changed(worker, "app/worker/categoriser.py")) != before
    assert key(worker, "another base") != before
    assert key(replace(worker, build_args={**worker.build_args, "MODELS": "[]"})) != before


def test_a_model_that_is_a_folder_of_ours_counts(plans: dict[str, BuildPlan]) -> None:
    worker = plans["worker"]
    config = replace(worker.files[0], path="models/ours/config.json")
    with_folder = replace(worker, files=(*worker.files, config))
    assert model_export.key(with_folder, "base") != model_export.key(worker, "base")


def test_the_stage_is_asked_for_by_its_name(plans: dict[str, BuildPlan], tmp_path: Path) -> None:
    request = model_export.request(plans["worker"], "linux/amd64", "type=local,dest=here", model_export.TARGET)
    command = buildctl(request, "unix:///socket", "base:1", tmp_path)
    assert command[command.index("target=model") - 1] == "--opt"
    assert "build-arg:BASE_IMAGE=base:1" in command
    assert f"context={ROOT}/.slipway/context/local/worker" in command
    assert not any(word.startswith("target=") for word in buildctl(replace(request, target=None), "", None, tmp_path))
