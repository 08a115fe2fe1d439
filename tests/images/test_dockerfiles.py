"""The rules that every Dockerfile keeps."""

import re
from pathlib import Path

import dockerfile
import pytest

from devcloud.cli import validate
from images.lock import LOCKS

IMAGES = Path(__file__).resolve().parents[2] / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
EACH = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
RUNS = pytest.mark.parametrize("image", ["api", "worker"])


def instructions(path: Path) -> list[str]:
    """Return the file's instructions, one a line, without comments."""
    return [" ".join(command.original.split()) for command in dockerfile.parse_file(str(path))]


def stages(path: Path) -> list[list[str]]:
    """Return the instructions of each stage, its FROM first."""
    found: list[list[str]] = []
    for instruction in instructions(path):
        if instruction.startswith("FROM "):
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def test_there_is_a_dockerfile_for_each_image_of_this_release() -> None:
    assert {path.parent.name for path in DOCKERFILES} >= {"api", "base", "worker"}


@EACH
def test_every_stage_knows_the_date_that_builds_are_reproducible_by(path: Path) -> None:
    for stage in stages(path):
        assert stage[1] == "ARG SOURCE_DATE_EPOCH", stage[0]


@EACH
def test_nothing_comes_from_a_package_manager_of_the_system(path: Path) -> None:
    assert not re.search(r"\b(apt|apt-get|apk|dpkg)\b", "\n".join(instructions(path)))


@EACH
def test_no_parent_is_called_latest_or_named_outside_an_argument(path: Path) -> None:
    assert ":latest" not in path.read_text()
    own = {stage[0].partition(" AS ")[2] for stage in stages(path)} | {"scratch"}
    for stage in stages(path):
        parent = stage[0].split()[1]
        assert "$" in parent or parent in own, parent


@EACH
def test_no_frontend_is_fetched(path: Path) -> None:
    assert "syntax=" not in path.read_text()


@EACH
def test_every_installation_checks_hashes(path: Path) -> None:
    installs = [line for line in instructions(path) if re.search(r"\b(pip|npm) (install|ci|i)\b", line)]
    assert installs
    for line in installs:
        assert line.count("pip install") == line.count("--require-hashes"), line
        # npm compares what it installs with its lock by `ci` alone.
        assert not re.search(r"\bnpm (install|i)\b", line), line


@EACH
def test_the_last_stage_installs_and_compiles_nothing(path: Path) -> None:
    assert not [line for line in stages(path)[-1] if line.startswith("RUN")]


@EACH
def test_an_image_runs_as_a_numeric_user(path: Path) -> None:
    users = [line for line in stages(path)[-1] if line.startswith("USER")]
    assert users == ["USER 10001:10001"]


@RUNS
def test_python_is_the_first_process_and_is_watched(image: str) -> None:
    last = stages(IMAGES / image / "Dockerfile")[-1]
    module = {"api": "app", "worker": "app.worker"}[image]
    assert last[-1] == f'ENTRYPOINT ["/opt/venv/bin/python", "-m", "{module}"]'
    assert any(line.startswith("HEALTHCHECK") and 'CMD ["/opt/venv/bin/python"' in line for line in last)


@RUNS
def test_layers_go_from_what_changes_least_to_what_changes_most(image: str) -> None:
    last = stages(IMAGES / image / "Dockerfile")[-1]
    parts = re.findall(r"^COPY --from=(\w+)", "\n".join(last), re.MULTILINE)
    assert parts == [part for part in ("venv", "exported", "prototypes", "code") if part in parts]
    assert {parts[0], parts[-1]} == {"venv", "code"}
    assert len(parts) == sum(line.startswith("COPY") for line in last)


def test_hadolint_has_nothing_to_say() -> None:
    assert validate.dockerfiles() == []


@EACH
def test_an_image_has_a_description_of_its_structure_outside_of_its_context(path: Path) -> None:
    # Beside the Dockerfile it would be part of the context, and a line of it a new tag.
    assert (Path(__file__).parent / "structure" / f"{path.parent.name}.yaml").is_file()


def given(stage: list[str]) -> set[str]:
    """The files that a stage is given."""
    return {word for line in stage if line.startswith("COPY") for word in line.split()[1:-1]}


def worker_stages() -> dict[str, list[str]]:
    """The worker's stages by name."""
    return {stage[0].partition(" AS ")[2]: stage for stage in stages(IMAGES / "worker" / "Dockerfile")}


def test_fetching_models_waits_for_neither_code_nor_requirements_nor_base() -> None:
    fetched = worker_stages()["fetched"]
    assert fetched[0] == "FROM ${PYTHON_IMAGE} AS fetched"
    assert given(fetched) == {
        "images/worker/requirements-fetch.lock",
        "images/worker/model_list.py",
        "images/worker/fetch_model.py",
        "models*",
    }
    assert not [line for line in fetched if "from=" in line]


def test_exporting_models_waits_for_no_requirement_of_the_worker_and_no_code_but_the_encoders() -> None:
    exported = worker_stages()["exported"]
    assert exported[0] == "FROM ${BASE_IMAGE} AS exported"
    assert given(exported) == {
        "images/worker/requirements-export.lock",
        "images/worker/model_list.py",
        "images/worker/random_model.py",
        "images/worker/export_model.py",
        "app/__init__.py",
        "app/common/__init__.py",
        "app/common/names.py",
        "app/worker/__init__.py",
        "app/worker/encoder.py",
    }


def test_another_synonym_neither_exports_nor_pushes_a_model_anew() -> None:
    found = worker_stages()
    assert "app/worker/categories.json" in given(found["prototypes"])
    last = stages(IMAGES / "worker" / "Dockerfile")[-1]
    assert last.index("COPY --from=exported /out/ /") < last.index("COPY --from=prototypes /made/ /")


def test_a_token_is_mounted_for_fetching_alone_and_is_optional() -> None:
    mounted = [line for stage in worker_stages().values() for line in stage if "type=secret" in line]
    assert len(mounted) == 1
    assert mounted[0] in worker_stages()["fetched"]
    assert "required" not in mounted[0]


def test_the_fetching_client_follows_no_other_lock() -> None:
    (lock,) = [lock for lock in LOCKS if lock.path == "images/worker/requirements-fetch.lock"]
    assert lock.like is None, "a change of the base would fetch the models again"
