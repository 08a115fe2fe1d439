"""Promotion: the very same digests, under one more tag, and a file made for a reviewer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.releases import promote, verified
from infra.releases.release import ReleasedImage, ReleaseError
from tests.infra.conftest import DIGESTS
from tests.outputs import outputs_of

OUTPUTS = outputs_of(
    images={image: f"127.0.0.1:5000/slipway/{image}@{digest}" for image, digest in DIGESTS.items()},
)
SERVED = {image: ReleasedImage(digest, digest[-20:]) for image, digest in DIGESTS.items()}


class Parameters:
    """SSM's answer for the parameter that says what was verified."""

    class exceptions:  # noqa: N801  boto3's name
        ParameterNotFound = KeyError

    def __init__(self, served: Mapping[str, ReleasedImage] | None = None) -> None:
        self.values = {} if served is None else {OUTPUTS.verified_parameter: verified.render("0123456789ab", served)}

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803  AWS's name
        return {"Parameter": {"Value": self.values[Name]}}


VERIFIED = Parameters(SERVED)


def test_a_stack_without_a_settings_file_cannot_be_promoted_to() -> None:
    for target in ("prdo", "../etc", ""):
        assert "has no settings file: write Pulumi." in promote.unfit(target)


def test_a_stack_that_takes_its_images_from_elsewhere_cannot_be_promoted_to() -> None:
    assert "Pulumi.dev.yaml takes its images from 'build'" in promote.unfit("dev")
    assert "source: releases/dev.json" in promote.unfit("dev")


def test_the_stack_whose_release_file_it_is_can_be_promoted_to() -> None:
    assert promote.unfit("prod") == ""


class Registry:
    """ECR's answers, from tags by digest by repository."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, list[str]]] = {
            f"slipway/{image}": {digest: [digest[-20:]]} for image, digest in DIGESTS.items()
        }

    def get_paginator(self, _: str) -> "Registry":
        return self

    def paginate(self, *, repositoryName: str) -> list[dict[str, Any]]:  # noqa: N803  AWS's names
        details = [{"imageDigest": digest, "imageTags": tags} for digest, tags in self.tags[repositoryName].items()]
        return [{"imageDetails": details}]

    def batch_get_image(self, *, repositoryName: str, imageIds: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"images": [{"imageManifest": imageIds[0]["imageDigest"], "imageManifestMediaType": "oci"}]}

    def put_image(self, *, repositoryName: str, imageManifest: str, imageTag: str, **_: Any) -> None:  # noqa: N803
        self.tags[repositoryName][imageManifest].append(imageTag)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(promote, "ROOT", tmp_path)
    return tmp_path


def test_every_digest_gets_the_same_new_tag_and_the_file_names_them(root: Path) -> None:
    registry = Registry()
    promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)
    assert all("release-prod.1" in tags for found in registry.tags.values() for tags in found.values())
    written = json.loads((root / "releases" / "prod.json").read_text())
    assert {image: entry["digest"] for image, entry in written["images"].items()} == DIGESTS


def test_the_same_digests_again_get_no_other_tag() -> None:
    registry = Registry()
    promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)
    said = promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)
    assert "release-prod.1; releases/prod.json named them already" in said
    assert all(len(tags) == 2 for found in registry.tags.values() for tags in found.values())


def test_the_next_promotion_counts_on(root: Path) -> None:
    registry = Registry()
    registry.tags["slipway/api"]["sha256:" + "e" * 64] = ["release-prod.7", "release-staging.9"]
    assert "release-prod.8" in promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)


def test_a_tag_of_a_stack_with_a_longer_name_is_not_taken_for_this_ones(root: Path) -> None:
    registry = Registry()
    promote.promote("dev", "prod-eu", OUTPUTS, VERIFIED, registry)
    assert "release-prod.1" in promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)


def test_a_stack_in_which_nothing_was_verified_cannot_be_promoted() -> None:
    with pytest.raises(ReleaseError, match=r"Nothing was verified in stack dev yet: bring it up first"):
        promote.promote("dev", "prod", OUTPUTS, Parameters(), Registry())


def test_a_stack_that_does_not_run_all_images_cannot_be_promoted() -> None:
    fewer = {image: found for image, found in SERVED.items() if image != "web"}
    with pytest.raises(ReleaseError, match=r"Stack dev runs no web: bring it up first"):
        promote.promote("dev", "prod", OUTPUTS, Parameters(fewer), Registry())


def test_what_was_verified_is_promoted_and_not_what_was_built_last(root: Path) -> None:
    built = outputs_of(images=OUTPUTS.images, digests=dict.fromkeys(DIGESTS, "sha256:" + "e" * 64))
    promote.promote("dev", "prod", built, VERIFIED, Registry())
    written = json.loads((root / "releases" / "prod.json").read_text())
    assert {image: entry["digest"] for image, entry in written["images"].items()} == DIGESTS


def test_a_digest_that_is_gone_is_refused_before_any_tag_is_given(root: Path) -> None:
    registry = Registry()
    registry.tags["slipway/api"] = {}
    with pytest.raises(ReleaseError, match=r"slipway/api@sha256:c+ is not in the registry"):
        promote.promote("dev", "prod", OUTPUTS, VERIFIED, registry)
    assert registry.tags["slipway/base"] == {DIGESTS["base"]: [DIGESTS["base"][-20:]]}
    assert not (root / "releases").exists()
