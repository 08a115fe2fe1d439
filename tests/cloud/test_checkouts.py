"""A content tag is the same in every checkout: neither its folder nor a umask counts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.product import product_of
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


def tags(root: Path, environment: dict[str, str]) -> list[str]:
    """The content tags that `make validate` shows for the stack `local`."""
    program = [sys.executable, "devcloud/bootstrap.py", "devcloud", "validate"]
    done = subprocess.run(program, cwd=root, env=environment, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if line.split()[:1] == ["local"]]
    return re.findall(r"\(([0-9a-f]{20})\)", line)


def test_two_checkouts_under_two_umasks_have_the_same_tags_and_nothing_to_change(
    up: Checkout, first_up: Done, tmp_path: Path
) -> None:
    outputs = up.outputs()["contentTags"]
    previous = os.umask(0o002)
    try:
        subprocess.run(["git", "clone", "--quiet", str(up.root), str(tmp_path / "other")], check=True)
    finally:
        os.umask(previous)
    (tmp_path / "shared").symlink_to((up.root.parent / "shared").resolve())
    here, there = tags(up.root, up.environment()), tags(tmp_path / "other", up.environment())
    assert here == there == [outputs[image] for image in product_of().build_order]
    other = Checkout(tmp_path / "other")
    assert other.run("preview", "--expect-no-changes").code == 0
