"""The rivals' helpers, as far as they need no torch."""

import pytest

from bench.plan import PLAN
from bench.rivals.without import without
from devcloud.bootstrap import ROOT
from devcloud.cli import validate

RIVALS = [name for name in PLAN.scenario("system").change.system_package if "rivals" in name]
LOCK = """# made by make lock
boto3==1.0 \\
    --hash=sha256:aa
    # via -r x
onnxruntime==1.2 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via -r x
psycopg[binary]==3.2 \\
    --hash=sha256:dd
"""


def test_a_lock_without_a_package_keeps_the_others_whole() -> None:
    assert without(LOCK, {"onnxruntime"}) == LOCK[: LOCK.index("onnxruntime")] + LOCK[LOCK.index("psycopg") :]
    assert without(LOCK, {"psycopg"}) == LOCK[: LOCK.index("psycopg")]
    assert without(LOCK, set()) == LOCK


def test_what_torch_takes_the_place_of_is_in_the_worker_s_lock() -> None:
    lock = (ROOT / "images/worker/requirements.lock").read_text()
    for name in ("onnxruntime", "numpy", "tokenizers"):
        assert without(lock, {name}) != lock


@pytest.mark.parametrize("dockerfile", RIVALS)
def test_hadolint_has_nothing_to_say_of_a_rival(dockerfile: str) -> None:
    assert validate.hadolint(dockerfile) == []


@pytest.mark.parametrize("dockerfile", RIVALS)
def test_a_rival_gets_its_model_as_our_worker_does(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    assert "ARG MODELS\n" in text
    for name in ("fetch_model.py", "model_list.py", "random_model.py"):
        assert (ROOT / "images/worker" / name).is_file()
