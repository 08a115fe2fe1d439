"""The locks: current, hashed, and free of addresses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from images.lock import CPU, LOCKS, PYPI, ROOT, Lock

EACH = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.path)


def versions(path: str) -> dict[str, str]:
    """The packages of a lock with their versions."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE))


def test_every_input_has_its_lock_and_every_lock_its_input() -> None:
    assert {lock.source for lock in LOCKS} == {str(path.relative_to(ROOT)) for path in ROOT.glob("images/*/*.in")}
    assert {lock.path for lock in LOCKS} == {str(path.relative_to(ROOT)) for path in ROOT.glob("images/*/*.lock")}


@EACH
def test_a_lock_is_made_from_its_input_as_it_is_now(lock: Lock) -> None:
    header = (ROOT / lock.path).read_text().splitlines()[0]
    assert header == lock.header(), "run `make lock`"


@EACH
def test_every_package_of_a_lock_has_a_hash(lock: Lock) -> None:
    text = (ROOT / lock.path).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+ .*\\\n    --hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


@EACH
def test_a_lock_names_no_address_and_no_folder(lock: Lock) -> None:
    assert not re.search(r"://|--index|--extra-index|--find-links|^/| @ |\.whl", (ROOT / lock.path).read_text())


def test_the_cpu_base_has_the_cpu_torch_and_nothing_of_nvidia() -> None:
    packages = versions(CPU)
    assert packages["torch"] == "2.13.0+cpu"
    assert not [name for name in packages if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_two_bases_differ_by_torch_and_what_it_brings_alone() -> None:
    cpu, pypi = versions(CPU), versions(PYPI)
    differing = {name for name, version in pypi.items() if cpu.get(name) != version}
    assert "torch" in differing
    assert all(name == "torch" or name.startswith(("nvidia", "cuda", "triton")) for name in differing)
    assert set(cpu) <= set(pypi)


def test_the_worker_reads_a_model_with_the_versions_that_wrote_it() -> None:
    worker, export, base = (
        versions("images/worker/requirements.lock"),
        versions("images/worker/requirements-export.lock"),
        versions(CPU),
    )
    assert worker["onnxruntime"] == export["onnxruntime"]
    assert worker["numpy"] == export["numpy"] == base["numpy"]
    assert worker["tokenizers"] == base["tokenizers"]


def test_what_runs_holds_no_torch_and_the_api_nothing_of_the_worker() -> None:
    heavy = {"torch", "transformers", "sentence-transformers", "sympy", "huggingface-hub"}
    assert not heavy & set(versions("images/worker/requirements.lock"))
    assert not (heavy | {"numpy", "onnxruntime", "tokenizers"}) & set(versions("images/api/requirements.lock"))


def test_without_the_cpu_wheel_the_lock_script_says_where_to_put_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "images" / "lock.py"), "--wheels", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr == f"There is no torch-2.13.0+cpu wheel in {tmp_path}: give its folder with --wheels DIR.\n"
