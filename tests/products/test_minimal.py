"""A product of two images and one service, without worker, base and database, needs no line of infra or devcloud."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import program
from infra.outputs import parse
from tests.cloud.conftest import Checkout
from tests.infra.conftest import Run
from tests.products.checkout import replace_product

MINIMAL = Path(__file__).parent / "minimal"


@pytest.fixture
def previewed(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    """Run the program for the minimal product, under mocks."""
    monkeypatch.setattr(program, "ROOT", MINIMAL)
    return run("dev", product=str(MINIMAL / "product.yaml"))


def test_it_declares_no_queue_and_no_task(previewed: tuple[Any, dict[str, Any]]) -> None:
    cloud, _ = previewed
    kinds = {asked.type.partition("/")[0] for asked in cloud.asked}
    assert not {"aws:sqs", "aws:ecs"} & kinds
    assert "aws:ec2" in kinds


def test_its_images_and_its_service_are_its_own(previewed: tuple[Any, dict[str, Any]]) -> None:
    _, exported = previewed
    outputs = parse("dev", exported)
    assert set(outputs.images) == {"hello", "tools"}
    assert outputs.worker is None


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of this repository with the minimal product in the place of ours."""
    copy = Checkout.on("test-minimal")
    copy.copy()
    replace_product(copy.root, MINIMAL)
    copy.generate()
    copy.end()
    yield copy
    copy.end()


@pytest.mark.cloud
def test_it_is_valid(checkout: Checkout) -> None:
    done = checkout.run("validate")
    assert done.code == 0, done.said


@pytest.mark.cloud
def test_it_is_built_deployed_and_healthy(checkout: Checkout) -> None:
    done = checkout.run("up")
    assert done.code == 0, done.said
    address = parse("local", checkout.outputs()).api_url
    assert httpx.get(f"{address}/health", timeout=10, trust_env=False).status_code == httpx.codes.OK
    assert checkout.planned() == {}
