"""A Dockerfile alone tells what a change rebuilds."""

from pathlib import Path

import pytest

from devcloud.images.dockerfile_graph import Build, Step, read
from devcloud.util.console import UserError

DOCKERFILE = """
ARG PYTHON_IMAGE=python:3.11
ARG SOURCE=wheel

FROM ${PYTHON_IMAGE} AS tools
COPY installer.lock /build/
RUN install

FROM tools AS from-wheel
ARG REVISION
RUN fetch "${REVISION}"

FROM tools AS from-hub
RUN --mount=type=secret,id=token fetch

FROM from-${SOURCE} AS fetched

FROM ${PYTHON_IMAGE} AS code
ARG EPOCH=1
COPY app *.txt ./out/
RUN touch \\
    --date=1 /out

FROM ${PYTHON_IMAGE} AS models
RUN --mount=type=bind,from=fetched,source=/model,target=/model \\
    --mount=type=bind,source=tools/export.py,target=/export.py \\
    export

FROM ${PYTHON_IMAGE}
COPY --from=models /out/ /
COPY --from=code /out/ /
WORKDIR /srv
"""


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return read(written(tmp_path, DOCKERFILE), {"REVISION": "7", "PYTHON_IMAGE": "python:3.12"})


def written(folder: Path, text: str) -> Path:
    (folder / "Dockerfile").write_text(text)
    return folder / "Dockerfile"


def named(steps: tuple[Step, ...]) -> list[str]:
    return [f"{step.stage}: {step.keyword}" for step in steps]


def test_a_stage_that_is_not_chosen_takes_no_part(build: Build, tmp_path: Path) -> None:
    assert "from-hub" not in {step.stage for step in build.steps}
    hub = read(written(tmp_path, DOCKERFILE), {"SOURCE": "hub"})
    assert "from-wheel" not in {step.stage for step in hub.steps}


def test_a_target_takes_what_that_stage_needs_and_nothing_else(tmp_path: Path) -> None:
    build = read(written(tmp_path, DOCKERFILE), {"REVISION": "7"}, "fetched")
    assert named(build.steps) == [
        *("tools: FROM", "tools: COPY", "tools: RUN", "from-wheel: FROM", "from-wheel: RUN", "fetched: FROM"),
    ]
    assert set(build.arguments) == {"PYTHON_IMAGE", "SOURCE", "REVISION"}
    assert build.last_stage == build.steps[-1:]


def test_a_stage_has_a_number_too(tmp_path: Path) -> None:
    text = "FROM x AS a\nCOPY one /\nFROM y\nCOPY two /\nFROM z\nCOPY --from=0 / /\nCOPY --from=1 / /\n"
    build = read(written(tmp_path, text), {})
    assert [step.text for step in build.steps if step.keyword == "COPY"] == [
        *("COPY one /", "COPY two /", "COPY --from=0 / /", "COPY --from=1 / /")
    ]
    assert named(build.again(build.readers("two"))) == ["1: COPY", "2: COPY"]


@pytest.mark.parametrize(
    ("text", "target", "sentence"),
    [
        (DOCKERFILE, "weights", "has no stage that begins with `FROM ... AS weights`: add it"),
        ("ARG X\n", None, "has no stage that begins with `FROM ...`: add it"),
        ("", None, r"cannot be read as a Dockerfile \(file with no instructions\): correct it"),
    ],
)
def test_a_file_without_the_stage_is_one_sentence(tmp_path: Path, text: str, target: str | None, sentence: str) -> None:
    with pytest.raises(UserError, match=f"Dockerfile {sentence}"):
        read(written(tmp_path, text), {}, target)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read as a Dockerfile .*no such file"):
        read(tmp_path / "Dockerfile", {})


def test_a_script_is_part_of_its_step(tmp_path: Path) -> None:
    (_, run) = read(written(tmp_path, "FROM x\nRUN <<EOF\none\ntwo\nEOF\n"), {}).steps
    assert run.text == "RUN <<EOF one two EOF"


def test_an_instruction_of_several_lines_is_one_step_with_its_first_line(build: Build) -> None:
    (step,) = [step for step in build.steps if step.text.startswith("RUN touch")]
    assert (step.text, step.line) == ("RUN touch --date=1 /out", 21)


def test_a_file_runs_again_what_reads_it_and_what_needs_that(build: Build) -> None:
    assert named(build.again(build.readers("installer.lock"))) == [
        *("tools: COPY", "tools: RUN", "from-wheel: FROM", "from-wheel: RUN", "fetched: FROM"),
        *("models: RUN", "6: COPY", "6: COPY", "6: WORKDIR"),
    ]


def test_a_folder_and_a_pattern_are_read_file_by_file(build: Build) -> None:
    for path in ("app/api/service.py", "notes.txt"):
        assert named(build.readers(path)) == ["code: COPY"]
    assert not build.readers("application/x.py")
    assert not build.readers("docs/notes.txt")


def test_a_file_that_is_mounted_is_read_too(build: Build) -> None:
    assert named(build.readers("tools/export.py")) == ["models: RUN"]


def test_a_mount_of_the_whole_context_reads_everything(tmp_path: Path) -> None:
    text = "FROM x\nRUN --mount=type=bind,target=/context make\n"
    assert named(read(written(tmp_path, text), {}).readers("any/thing")) == ["0: RUN"]


def test_an_argument_counts_for_every_run_after_it_named_or_not(build: Build) -> None:
    assert named(build.users("EPOCH")) == ["code: RUN"]
    assert named(build.users("REVISION")) == ["from-wheel: RUN"]


def test_an_argument_of_a_parent_stage_is_its_childrens_too(tmp_path: Path) -> None:
    text = "FROM x AS a\nARG WHEN=1\nRUN one\nFROM a\nRUN two\n"
    assert named(read(written(tmp_path, text), {}).users("WHEN")) == ["a: RUN", "1: RUN"]


def test_an_argument_that_chooses_the_parent_counts_for_each_from(build: Build) -> None:
    assert {step.keyword for step in build.users("PYTHON_IMAGE")} == {"FROM"}
    assert {step.stage for step in build.users("PYTHON_IMAGE")} >= {"tools", "code", "models"}
    assert build.arguments["PYTHON_IMAGE"] == "python:3.12"
    (choice,) = build.users("SOURCE")
    assert choice.chooses


def test_an_argument_that_nothing_uses_is_none_of_the_builds(build: Build) -> None:
    assert set(build.arguments) == {"PYTHON_IMAGE", "SOURCE", "REVISION", "EPOCH"}


def test_what_is_put_on_a_new_layer_as_it_was_is_no_new_layer(build: Build) -> None:
    changed = build.readers("tools/export.py")
    assert [step.text for step in build.again(changed) if step in build.last_stage] == [
        "COPY --from=models /out/ /",
        "COPY --from=code /out/ /",
        "WORKDIR /srv",
    ]
    assert [step.text for step in build.made_of(changed)] == ["COPY --from=models /out/ /"]


def test_files_stand_together_where_the_same_steps_read_them(build: Build) -> None:
    groups = build.groups(["app/b.py", "app/a.py", "installer.lock", "README"])
    assert {tuple(named(readers)): files for readers, files in groups.items()} == {
        ("code: COPY",): ["app/a.py", "app/b.py"],
        ("tools: COPY",): ["installer.lock"],
        (): ["README"],
    }
