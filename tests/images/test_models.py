"""Models for real: made, broken in every way, exported, embedded with, and tested by the worker's own self-test.

With a tiny BERT of random weights where its shape is enough, and the local stack's model where meaning counts.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images.conftest import TINY, Done, Tools

pytestmark = pytest.mark.cloud

REPORTS = Path(__file__).parents[1] / "app/worker/labelled_reports.txt"
# Makes the tiny model: SEED FOLDER.
MAKE = """
import sys
from pathlib import Path
from images.worker.random_model import make
make("bert-tiny", int(sys.argv[1]), Path(sys.argv[2]))
"""
# Changes a model's weights in place: change(FILE, WHAT).
CHANGE = """
import sys, torch
from safetensors.torch import load_file, save_file
path, what = sys.argv[1:]
weights = load_file(path)
name = "encoder.layer.1.attention.self.query.weight"
if what == "missing":
    del weights[name]
elif what == "shape":
    weights[name] = weights[name][:, :3].contiguous()
elif what == "nan":
    weights[name][0, 0] = float("nan")
elif what == "infinite":
    weights[name][0, 0] = float("inf")
elif what == "shuffled":
    torch.manual_seed(0)
    for key, weight in weights.items():
        if weight.ndim == 2:
            weights[key] = weight.flatten()[torch.randperm(weight.numel())].reshape(weight.shape)
save_file(weights, path, metadata={"format": "pt"})
"""
# Shuffles an exported model's largest weight and writes the new checksums, as a build from such weights would have.
SHUFFLE_EXPORTED = """
import hashlib, json, sys
from pathlib import Path
import numpy as np, onnx
from onnx import numpy_helper
folder = Path(sys.argv[1])
model = onnx.load(folder / "encoder.onnx")
largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
values = numpy_helper.to_array(largest).copy()
np.random.default_rng(0).shuffle(values)
largest.CopyFrom(numpy_helper.from_array(values, largest.name))
(folder / "encoder.data").unlink()
onnx.save(model, folder / "encoder.onnx", save_as_external_data=True, location="encoder.data")
described = json.loads((folder / "model.json").read_text())
described["sha256"] = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in described["sha256"]}
(folder / "model.json").write_text(json.dumps(described))
"""
# Runs the worker where every connection fails.
NO_NETWORK = """
import runpy, socket, sys
def refuse(*_): raise OSError("there is no network here")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.argv = ["app.worker", *sys.argv[1:]]
runpy.run_module("app.worker", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def made(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as the hub would give it: below it `broken`."""
    to = tmp_path_factory.mktemp("made") / "broken"
    done = tools.run("-c", MAKE, "7", to)
    assert done.code == 0, done.err
    return to


BROKEN = {"name": "broken", "source": "folder", "reference": "x", "revision": "", "sha256": "", "export": "int8"}


def broken(tools: Tools, made: Path, tmp_path: Path, what: str) -> Path:
    """A folder with the tiny model, changed; below it `broken`."""
    shutil.copytree(made, tmp_path / "broken")
    done = tools.run("-c", CHANGE, tmp_path / "broken/model.safetensors", what)
    assert done.code == 0, done.err
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_sentence(done: Done) -> str:
    """What a build says as it fails: one line, the last."""
    assert done.code == 1, done.err
    return done.err.splitlines()[-1]


def test_a_model_is_the_same_bytes_each_time_and_on_a_processor_with_other_instructions(
    tools: Tools, tiny: Path, tmp_path: Path
) -> None:
    again = tools.build([TINY], tmp_path, tmp_path / "again", ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE")
    assert files(again) == files(tiny)


def test_another_seed_is_another_model(tools: Tools, made: Path, tmp_path: Path) -> None:
    done = tools.run("-c", MAKE, "8", tmp_path / "other")
    assert done.code == 0, done.err
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "other" / name).read_bytes() != (made / name).read_bytes()


def test_a_model_of_random_weights_says_so_and_its_self_test_says_what_it_leaves_out(tools: Tools, tiny: Path) -> None:
    code, found = tools.self_test(tiny)
    assert code == 0
    assert found["model"] == {"name": "random-tiny", "revision": "7", "dimension": 32, "trained": False}
    assert found["checks"]["likeness"]["ok"]
    for left_out in ("meaning", "categories"):
        assert found["checks"][left_out] == {
            "left_out": "left out: the model's weights are random, as its name says, so it knows no meanings"
        }


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("missing", r"missing or of another shape: encoder\.layer\.1\.attention\.self\.query\.weight$"),
        ("shape", r"missing or of another shape: .*encoder\.layer\.1\.attention\.self\.query\.weight"),
        ("nan", r"values that are no numbers: encoder\.layer\.1\.attention\.self\.query\.weight$"),
        ("infinite", r"values that are no numbers: encoder\.layer\.1\.attention\.self\.query\.weight$"),
    ],
)
def test_a_weight_that_is_missing_or_broken_fails_the_build_by_name(
    tools: Tools, made: Path, tmp_path: Path, what: str, complaint: str
) -> None:
    done = tools.export([BROKEN], broken(tools, made, tmp_path, what), tmp_path / "to")
    assert re.match("The model broken could not be exported: these weights", one_sentence(done))
    assert re.search(complaint, one_sentence(done)), done.err


def test_truncated_weights_fail_the_build_by_name(tools: Tools, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "broken")
    weights = tmp_path / "broken/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    done = tools.fetch([BROKEN], tmp_path / "to", folders=tmp_path)
    assert one_sentence(done).startswith(
        "The model broken could not be fetched: the weights model.safetensors are corrupt: "
    )


def test_shuffled_weights_of_a_trained_model_fail_the_build_by_name(
    tools: Tools, fetched: Path, local_models: list[dict[str, str]], tmp_path: Path
) -> None:
    model = local_models[0] | {"source": "folder", "sha256": ""}
    shutil.copytree(fetched / model["name"], tmp_path / model["name"])
    done = tools.run("-c", CHANGE, tmp_path / model["name"] / "model.safetensors", "shuffled")
    assert done.code == 0, done.err
    assert tools.fetch([model], tmp_path / "fetched", folders=tmp_path).code == 0
    done = tools.export([model], tmp_path / "fetched", tmp_path / "to")
    # int8 may not hold such weights; where it does, they mean nothing.
    if done.code == 0:
        done = tools.embed(tmp_path / "to")
    assert one_sentence(done).startswith(f"The model {model['name']} ")


def test_the_checksum_of_weights_is_compared(tools: Tools, made: Path, tmp_path: Path) -> None:
    done = tools.fetch([BROKEN | {"sha256": "0" * 64}], tmp_path / "to", folders=made.parent)
    assert "The model broken could not be fetched: model.safetensors is not what was asked for" in one_sentence(done)


def test_the_self_test_fails_for_shuffled_weights(tools: Tools, tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "to")
    done = tools.run("-c", SHUFFLE_EXPORTED, tmp_path / "to/model")
    assert done.code == 0, done.err
    code, found = tools.self_test(tmp_path / "to")
    assert code == 1
    assert found["checks"]["files"]["ok"], "the checksums are those of the shuffled weights"
    assert not found["checks"]["likeness"]["ok"]


def test_the_self_test_fails_for_weights_that_were_changed_after_the_build(
    tools: Tools, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "to")
    data = bytearray((tmp_path / "to/model/encoder.data").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "to/model/encoder.data").write_bytes(data)
    code, found = tools.self_test(tmp_path / "to")
    assert code == 1
    assert found["checks"]["files"] == {"ok": False, "changed": ["encoder.data"]}


def test_every_model_of_the_list_is_exported_and_tested(tools: Tools, tmp_path: Path) -> None:
    second = TINY | {"name": "random-second", "revision": "8", "export": "float32"}
    to = tools.build([TINY, second], tmp_path, tmp_path / "to")
    code, found = tools.self_test(to)
    assert code == 0
    assert found["model"]["name"] == "random-tiny"
    assert found["checks"]["random-second"]["cosine"] > 0.9999, "float32 loses nothing"
    (to / "models/random-second/tokenizer.json").write_text("{}")
    code, found = tools.self_test(to)
    assert code == 1
    assert found["checks"]["random-second"] == {"ok": False, "changed": ["tokenizer.json"]}


def test_the_local_stacks_model_passes_every_check_without_a_network(tools: Tools, local: Path) -> None:
    done = tools.run("-c", NO_NETWORK, "--self-test", "--model", local / "model")
    found = json.loads(done.out)
    assert done.code == 0, found
    assert all(check["ok"] for check in found["checks"].values())


def test_names_from_standard_input_get_their_categories_line_by_line(tools: Tools, local: Path) -> None:
    names = ["HbA1c", "LDL Cholesterol", "football match"]
    done = tools.run("-m", "app.worker", "--categorise", "--model", local / "model", typed="\n\n".join(names))
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["name"], one["category"]) for one in found] == list(
        zip(names, ("diabetes", "lipids", "unknown"), strict=True)
    )
    assert all(0 <= one["confidence"] <= 1 for one in found)


def test_what_is_no_report_is_refused_in_one_sentence(tools: Tools, local: Path) -> None:
    done = tools.run("-m", "app.worker", "--extract", "--model", local / "model", typed="TSH 4.2\n")
    assert done.code == 2
    assert done.err == "Line 1 is no JSON string: write each report as one.\n"


@dataclass(frozen=True)
class Mark:
    """What should be found: characters of a report, the category, the value and its unit."""

    starts_at: int
    ends_at: int
    category: str
    value: float | None
    unit: str | None


def labelled() -> list[tuple[str, list[Mark]]]:
    """The labelled reports: their text without the marks, and the marks."""
    found = []
    for line in REPORTS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        body, marks, at = "", [], 0
        line = line.replace("\\n", "\n")
        for mark in re.finditer(r"\{([^|}]*)\|([^|}]*)\|([^|}]*)\|([^|}]*)\}", line):
            name, category, value, unit = mark.groups()
            body += line[at : mark.start()]
            number = float(value.replace(",", "")) if value else None
            marks.append(Mark(len(body), len(body) + len(name), category, number, unit or None))
            body += name + (f" {value}" if value else "") + (unit if unit == "%" else f" {unit}" if unit else "")
            at = mark.end()
        found.append((body + line[at:], marks))
    return found


def test_entities_of_labelled_reports_are_found_with_their_values(tools: Tools, local: Path) -> None:
    """An entity is right where it overlaps a marked name that no other one took, in the mark's category."""
    wanted = labelled()
    assert len(wanted) == 30
    typed = "".join(json.dumps(body) + "\n" for body, _ in wanted)
    done = tools.run("-m", "app.worker", "--extract", "--model", local / "model", typed=typed)
    assert done.code == 0, done.err
    right = extra = with_value = right_values = 0
    wrong: list[str] = []
    for (body, marks), line in zip(wanted, done.out.splitlines(), strict=True):
        left = list(marks)
        for one in json.loads(line):
            assert body[one["starts_at"] : one["ends_at"]] == one["found"]
            match = next(
                (
                    mark
                    for mark in left
                    if mark.starts_at < one["ends_at"]
                    and one["starts_at"] < mark.ends_at
                    and mark.category == one["category"]
                ),
                None,
            )
            if match is None:
                extra += 1
                wrong.append(f"{one['found']} is no {one['category']}")
                continue
            left.remove(match)
            right += 1
            if match.value is not None:
                with_value += 1
                right_values += (one["value"], one["unit"]) == (match.value, match.unit)
        wrong += [f"{body[mark.starts_at : mark.ends_at]} is not found as {mark.category}" for mark in left]
    marked = sum(len(marks) for _, marks in wanted)
    precision, recall, values = right / (right + extra), right / marked, right_values / with_value
    figures = (
        f"{marked} entities in {len(wanted)} reports: precision {precision:.3f}, recall {recall:.3f}, values with "
        f"their units {values:.3f}; {'; '.join(wrong) or 'nothing wrong'}"
    )
    print(figures)  # noqa: T201 - `pytest -rP` shows it
    assert precision >= 0.9, figures
    assert recall >= 0.9, figures
    assert values >= 0.95, figures
