"""The inputs of each image, and the tag that follows."""

from infra import ROOT
from infra.builds.plan import BuildPlan, plan_builds
from tests.infra.conftest import PRODUCT, settings_of

ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def plans(taken: dict[str, str] | None = None) -> dict[str, BuildPlan]:
    return plan_builds(settings_of("dev", {"slipway:images": {"torch": {"source": "pypi"}}}), ROOT, taken)


def test_a_parent_comes_before_its_children() -> None:
    order = list(plans())
    for image, described in PRODUCT.images.items():
        if described.base:
            assert order.index(described.base) < order.index(image)


def test_a_base_that_is_taken_is_not_planned_and_its_digest_is_part_of_the_workers_tag() -> None:
    one, other = plans({"base": ONE}), plans({"base": OTHER})
    assert "base" not in one
    assert one["worker"].content_tag != other["worker"].content_tag
    assert one["api"].content_tag == other["api"].content_tag == plans()["api"].content_tag


def test_nothing_of_images_base_goes_into_a_worker_whose_base_is_taken() -> None:
    worker = plans({"base": ONE})["worker"]
    assert not [file.path for file in worker.files if file.path.startswith("images/base/")]
