"""The worker's model out of its Dockerfile: what goes into it, and so when it is built anew."""

import dataclasses
import re
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.images import model_export
from devcloud.util.console import UserError
from infra import settings as settings_module
from infra.builds.content import ContextFile
from infra.builds.plan import BuildPlan, plan_builds

DOCKERFILE = """ARG P
FROM ${P} AS tools
COPY lock /build/
FROM tools AS prototypes
COPY --chown=1:1 a/one.py \\
    a/two.py /build/
COPY --from=tools /x /y
COPY b /build/b
FROM tools AS code
COPY app /srv
"""


@pytest.fixture(scope="module")
def plans() -> dict[str, BuildPlan]:
    return plan_builds(settings_module.load_file(ROOT / "Pulumi.local.yaml", "local", ROOT), ROOT)


def changed(plan: BuildPlan, path: str) -> BuildPlan:
    def other(file: ContextFile) -> ContextFile:
        return dataclasses.replace(file, sha256="0" * 64) if file.path == path else file

    assert any(file.path == path for file in plan.files)
    return dataclasses.replace(plan, files=tuple(map(other, plan.files)))


def test_a_dockerfile_is_cut_after_the_stage() -> None:
    assert model_export.up_to(DOCKERFILE, "prototypes") == DOCKERFILE[: DOCKERFILE.index("FROM tools AS code")]
    assert model_export.up_to(DOCKERFILE, "code") == DOCKERFILE


def test_a_missing_stage_is_one_sentence() -> None:
    with pytest.raises(UserError, match="has no stage 'weights', out of which `make dev` takes the worker's model"):
        model_export.up_to(DOCKERFILE, "weights")


def test_what_is_copied_from_the_context_is_found_and_nothing_else() -> None:
    assert model_export.copied(DOCKERFILE) == ["a/one.py", "a/two.py", "app", "b", "lock"]


def test_the_worker_s_dockerfile_has_the_stages_that_make_dev_takes_the_model_out_of() -> None:
    text = (ROOT / "images/worker/Dockerfile").read_text()
    steps = model_export.up_to(text, model_export.STAGE)
    for stage, folder in re.findall(r"--from=(\w+) (\S+?)/? /$", model_export.TAKEN_OUT, re.MULTILINE):
        assert f" AS {stage}\n" in steps
        # As in the image that runs: the same folders, copied to the same place.
        assert f"COPY --from={stage} {folder}/ /\n" in text
        assert f" {folder}/{model_export.INSIDE}" in steps
    assert model_export.copied(steps)


def test_the_worker_s_loop_does_not_make_its_model_anew_but_the_exporter_does(plans: dict[str, BuildPlan]) -> None:
    text = (ROOT / "images/worker/Dockerfile").read_text()

    def key(plan: BuildPlan, base: str = "base") -> str:
        return model_export.key(plan, base, text)

    worker = plans["worker"]
    before = key(worker)
    assert key(changed(worker, "app/worker/work.py")) == before
    assert key(changed(worker, "images/worker/requirements.lock")) == before
    for read in ("images/worker/fetch_model.py", "images/worker/export_model.py", "app/worker/encoder.py"):
        assert key(changed(worker, read)) != before
    assert key(changed(worker, "app/common/names.py")) != before
    # What the categories are, and how a name is told to be one.
    assert key(changed(worker, "app/worker/categories.json")) != before
    assert key(changed(worker, "app/worker/categoriser.py")) != before
    assert key(worker, "another base") != before
    assert key(dataclasses.replace(worker, build_args={**worker.build_args, "MODELS": "[]"})) != before


def test_a_model_that_is_a_folder_of_ours_counts(plans: dict[str, BuildPlan]) -> None:
    text = (ROOT / "images/worker/Dockerfile").read_text()
    worker = plans["worker"]
    config = dataclasses.replace(worker.files[0], path="models/ours/config.json")
    with_folder = dataclasses.replace(worker, files=(*worker.files, config))
    assert model_export.key(with_folder, "base", text) != model_export.key(worker, "base", text)


def test_the_folder_that_is_taken_out_holds_the_models_alone(tmp_path: Path) -> None:
    class Cloud:
        folder = tmp_path

    folder = model_export._exporting(Cloud(), DOCKERFILE)  # type: ignore[arg-type]
    text = (folder / "Dockerfile").read_text()
    assert text.endswith("FROM scratch\nCOPY --from=exported /out/ /\nCOPY --from=prototypes /made/ /\n")
    assert "AS code" not in text
