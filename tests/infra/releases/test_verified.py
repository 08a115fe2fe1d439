"""The document of what serves: it says what it was given, and nothing else is taken for one."""

import json

import pytest

from infra.releases.release import ReleasedImage, ReleaseError
from infra.releases.verified import parse, render

IMAGES = {"api": ReleasedImage("sha256:" + "a" * 64, "0" * 20), "web": ReleasedImage("sha256:" + "b" * 64, "1" * 20)}


RELEASE = "0123456789ab"


def test_the_document_says_what_it_was_given() -> None:
    assert parse(render(RELEASE, IMAGES)) == IMAGES
    assert json.loads(render(RELEASE, IMAGES))["release"] == RELEASE


def test_the_same_images_give_the_same_text_in_any_order() -> None:
    assert render(RELEASE, IMAGES) == render(RELEASE, dict(reversed(list(IMAGES.items()))))


ENTRY = {"digest": "sha256:" + "a" * 64, "contentTag": "0" * 20}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"schema": 1, "images": {}},
        {"schema": 1, "images": ["api"]},
        {"schema": 3, "images": {"api": ENTRY}},
        {"schema": 1, "images": {"api": ENTRY | {"digest": "latest"}}},
        {"schema": 1, "images": {"api": ENTRY | {"contentTag": ""}}},
        {"schema": 1, "images": {"api": ENTRY, "\x1b]0;a terminal's command\x07": ENTRY}},
        {"schema": 1, "images": {"api": ENTRY, "\ud800": ENTRY}},
    ],
)
def test_anything_else_is_refused_in_a_sentence(document: object) -> None:
    with pytest.raises(ReleaseError, match="bring the stack up first"):
        parse(json.dumps(document))


def test_a_document_of_before_it_named_the_release_is_still_read() -> None:
    images = parse(json.dumps({"schema": 1, "images": {"api": ENTRY}}))
    assert images == {"api": IMAGES["api"]}


def test_what_is_no_json_is_refused_too() -> None:
    with pytest.raises(ReleaseError, match="bring the stack up first"):
        parse("")


def test_a_document_that_no_parameter_holds_is_refused() -> None:
    many = {f"image-{number}": IMAGES["api"] for number in range(40)}
    with pytest.raises(ReleaseError, match="4,096 of a standard parameter"):
        render(RELEASE, many)
