"""The rules that every Dockerfile keeps."""

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
EACH = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
RUNS = pytest.mark.parametrize("image", ["api", "worker"])


def instructions(dockerfile: Path) -> list[str]:
    """The file's instructions, one a line, without comments."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines() if line.strip()]


def stages(dockerfile: Path) -> list[list[str]]:
    """The instructions of each stage, its FROM first."""
    found: list[list[str]] = []
    for instruction in instructions(dockerfile):
        if instruction.startswith("FROM "):
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def test_there_is_a_dockerfile_for_each_image_of_this_release() -> None:
    assert {path.parent.name for path in DOCKERFILES} >= {"api", "base", "worker"}


@EACH
def test_every_stage_knows_the_date_that_builds_are_reproducible_by(dockerfile: Path) -> None:
    for stage in stages(dockerfile):
        assert stage[1] == "ARG SOURCE_DATE_EPOCH", stage[0]


@EACH
def test_nothing_comes_from_a_package_manager_of_the_system(dockerfile: Path) -> None:
    assert not re.search(r"\b(apt|apt-get|apk|dpkg)\b", "\n".join(instructions(dockerfile)))


@EACH
def test_no_parent_is_called_latest_or_named_outside_an_argument(dockerfile: Path) -> None:
    assert ":latest" not in dockerfile.read_text()
    own = {stage[0].partition(" AS ")[2] for stage in stages(dockerfile)} | {"scratch"}
    for stage in stages(dockerfile):
        parent = stage[0].split()[1]
        assert "$" in parent or parent in own, parent


@EACH
def test_no_frontend_is_fetched(dockerfile: Path) -> None:
    assert "syntax=" not in dockerfile.read_text()


@EACH
def test_every_installation_checks_hashes(dockerfile: Path) -> None:
    installs = [line for line in instructions(dockerfile) if re.search(r"\b(pip|npm) (install|ci|i)\b", line)]
    assert installs
    for line in installs:
        assert line.count("pip install") == line.count("--require-hashes"), line
        # npm compares what it installs with its lock by `ci` alone.
        assert not re.search(r"\bnpm (install|i)\b", line), line


@EACH
def test_the_last_stage_installs_and_compiles_nothing(dockerfile: Path) -> None:
    assert not [line for line in stages(dockerfile)[-1] if line.startswith("RUN")]


@EACH
def test_an_image_runs_as_a_numeric_user(dockerfile: Path) -> None:
    users = [line for line in stages(dockerfile)[-1] if line.startswith("USER")]
    assert users == ["USER 10001:10001"]


@RUNS
def test_python_is_the_first_process_and_is_watched(image: str) -> None:
    last = stages(IMAGES / image / "Dockerfile")[-1]
    assert last[-1] == f'ENTRYPOINT ["/opt/venv/bin/python", "-m", "app.{image}"]'
    assert any(line.startswith("HEALTHCHECK") and 'CMD ["/opt/venv/bin/python"' in line for line in last)


@RUNS
def test_layers_go_from_what_changes_least_to_what_changes_most(image: str) -> None:
    last = stages(IMAGES / image / "Dockerfile")[-1]
    parts = re.findall(r"^COPY --from=(\w+)", "\n".join(last), re.MULTILINE)
    assert parts == [part for part in ("venv", "models", "code") if part in parts]
    assert {parts[0], parts[-1]} == {"venv", "code"}
    assert len(parts) == sum(line.startswith("COPY") for line in last)


def test_fetching_a_model_waits_for_neither_code_nor_requirements_nor_base() -> None:
    found = {stage[0].partition(" AS ")[2]: stage for stage in stages(IMAGES / "worker" / "Dockerfile")}
    fetching = [stage for name, stage in found.items() if name.startswith("fetched-")]
    assert len(fetching) == 3
    for stage in [*fetching, found["tools"]]:
        given = [word for line in stage if line.startswith("COPY") for word in line.split()[1:-1]]
        assert set(given) <= {
            "images/worker/installer.lock",
            "images/worker/requirements-fetch.lock",
            "images/worker/fetch_model.py",
        }
        assert "BASE_IMAGE" not in stage[0]
