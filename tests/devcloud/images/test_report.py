"""An image explained: from what a registry holds of it, and from its Dockerfile."""

from pathlib import Path
from typing import Any

import pytest

from devcloud.images.dockerfile_graph import Build, read
from devcloud.images.registry import Size
from devcloud.images.report import Image, layers_of, own_layers, render
from devcloud.util.console import UserError
from infra.builds.content import ContextFile
from infra.builds.plan import BuildPlan

DOCKERFILE = """ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS venv
COPY images/api/requirements.lock /build/
RUN install
FROM ${PYTHON_IMAGE} AS code
COPY app /out/srv/app
FROM ${PYTHON_IMAGE}
COPY --from=venv /out/ /
COPY --from=code /out/ /
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /srv
USER 10001:10001
"""
MANIFEST: dict[str, Any] = {"layers": [{"digest": f"sha256:{digit * 64}"} for digit in "abcd"]}
CONFIG: dict[str, Any] = {
    "config": {"User": "10001:10001", "Entrypoint": ["python", "-m", "app"]},
    "history": [
        {"created_by": "/bin/sh -c #(nop) ADD file:1234 in / "},
        {"created_by": 'CMD ["python3"]', "empty_layer": True},
        {"created_by": "RUN |1 EPOCH=1 /bin/sh -c pip install a | tee log # buildkit"},
        {"created_by": "ARG SOURCE_DATE_EPOCH=1", "empty_layer": True},
        {"created_by": "COPY /out/ / # buildkit"},
        {"created_by": "COPY /out/ / # buildkit"},
        {"created_by": "WORKDIR /srv", "empty_layer": True},
        {"created_by": "USER 10001:10001", "empty_layer": True},
    ],
}
SIZES = [Size(50_000_000, 130_000_000), Size(1_000, 4_000), Size(20_000_000, 70_000_000), Size(40_000, 150_000)]
FILES = {"app/api.py": 900, "app/labs.py": 300, "images/api/requirements.lock": 49_000, "images/api/Dockerfile": 500}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return read(tmp_path / "Dockerfile", {"PYTHON_IMAGE": "python:3.11-slim"})


@pytest.fixture
def image() -> Image:
    return Image(
        name="api",
        reference=f"registry/slipway/api@sha256:{'e' * 64}",
        content_tag="0" * 20,
        budget_mb=300,
        layers=layers_of(MANIFEST, CONFIG, SIZES),
        config=CONFIG,
    )


@pytest.fixture
def plan() -> BuildPlan:
    files = tuple(ContextFile(path, Path(path), False, size, "0" * 64) for path, size in FILES.items())
    return BuildPlan("local", "api", files, {}, None, "0" * 20)


def row(text: str, beginning: str) -> list[str]:
    """The cells of the table's line that begins so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {beginning}")]
    return [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


def test_every_layer_has_the_instruction_that_made_it_without_the_builders_noise(image: Image) -> None:
    assert [layer.made_by for layer in image.layers] == [
        "ADD file:1234 in /",
        "RUN pip install a | tee log",
        "COPY /out/ /",
        "COPY /out/ /",
    ]


def test_a_layer_of_the_images_own_is_told_from_its_parents(image: Image, build: Build) -> None:
    own = own_layers(image.layers, build)
    assert {number: step.text for number, step in own.items()} == {
        3: "COPY --from=venv /out/ /",
        4: "COPY --from=code /out/ /",
    }


def test_a_workdir_that_made_a_layer_is_the_images_own_too(image: Image, build: Build) -> None:
    history = [*CONFIG["history"][:-2], {"created_by": "WORKDIR /srv"}]
    manifest = {"layers": [*MANIFEST["layers"], {"digest": f"sha256:{'f' * 64}"}]}
    layers = layers_of(manifest, {"history": history}, [*SIZES, Size(100, 200)])
    assert own_layers(layers, build).keys() == {3, 4, 5}


def test_the_head_names_digest_size_against_budget_and_user(image: Image, build: Build) -> None:
    text = render(image, build, None)
    assert f"- image: `registry/slipway/api@sha256:{'e' * 64}`" in text
    assert "- size: 200 MB of 300 MB, 70 MB compressed, 4 layers" in text
    assert "- runs: `python -m app` as user `10001:10001`" in text


def test_a_layer_is_shown_with_both_sizes_and_where_it_stands_in_the_dockerfile(image: Image, build: Build) -> None:
    text = render(image, build, None)
    assert row(text, "    3 ")[1:4] == [
        "70 MB",
        "20 MB",
        "`COPY --from=venv /out/ /` (images/api/Dockerfile, line 8)",
    ]
    assert row(text, "    2 ")[3] == "parent: `RUN pip install a / tee log`"


def test_a_change_to_each_input_says_what_runs_again_and_which_layers_are_new(
    image: Image, build: Build, plan: BuildPlan
) -> None:
    text = render(image, build, plan)
    assert row(text, "`app/api.py`")[1:] == ["2 files, 1.2 kB", "code (1 step)", "4: 40 kB"]
    assert row(text, "`images/api/requirements.lock`")[1:] == ["49 kB", "venv (2 steps)", "3: 20 MB"]
    assert row(text, "argument `PYTHON_IMAGE`")[1:] == [
        "`python:3.11-slim`",
        "venv (2 steps), code (1 step)",
        "1, 2, 3, 4: 70 MB",
    ]


def test_a_file_that_no_step_reads_is_named(image: Image, build: Build, plan: BuildPlan) -> None:
    file = ContextFile("images/api/requirements.in", Path("x"), False, 10, "0" * 64)
    more = BuildPlan("local", "api", (*plan.files, file), {}, None, "0" * 20)
    assert "No step reads `images/api/requirements.in`" in render(image, build, more)
    assert "No step reads" not in render(image, build, plan)


def test_the_tables_are_markdown_with_as_many_cells_in_every_line(image: Image, build: Build, plan: BuildPlan) -> None:
    tables = [line for line in render(image, build, plan).splitlines() if line.startswith("|")]
    counts = [line.replace("\\|", "").count("|") for line in tables]
    assert counts == [6] * 6 + [5] * 5


def test_a_size_that_the_compression_does_not_tell_is_left_out(build: Build) -> None:
    layers = layers_of(MANIFEST, CONFIG, [Size(1000, None)] * 4)
    text = render(Image("api", "r@d", "0" * 20, 300, layers, CONFIG), build, None)
    assert "- size: 4.0 kB compressed, 4 layers" in text


def test_an_image_without_a_history_is_refused() -> None:
    with pytest.raises(UserError, match="has 4 layers and its history tells of 0"):
        layers_of(MANIFEST, {"history": []}, SIZES)
