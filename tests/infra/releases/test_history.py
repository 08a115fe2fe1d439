"""The verified releases of a stack, from the history of its parameter."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.releases import history
from infra.releases.history import VerifiedRelease
from infra.releases.release import ReleasedImage, ReleaseError

START = datetime(2026, 11, 28, 15, tzinfo=UTC)


def images_of(letters: str) -> dict[str, ReleasedImage]:
    """Return images whose digests are of one letter each: `ab` -> api a, web b."""
    return {
        name: ReleasedImage(f"sha256:{letter * 64}", letter * 20)
        for name, letter in zip(("api", "web"), letters, strict=False)
    }


class History:
    """SSM's answers, a version a page, the newest first: AWS promises no order."""

    class exceptions:  # noqa: N801  boto3's name
        class ParameterNotFound(Exception):  # noqa: N818  AWS's name
            pass

    def __init__(self, *values: str) -> None:
        self.values = values

    def get_paginator(self, operation: str) -> "History":
        assert operation == "get_parameter_history"
        return self

    def paginate(self, *, Name: str) -> Any:  # noqa: N803  AWS's name
        if not self.values:
            raise self.exceptions.ParameterNotFound(Name)
        for number, value in reversed(list(enumerate(self.values, start=1))):
            yield {
                "Parameters": [
                    {"Version": number, "Value": value, "LastModifiedDate": START + timedelta(minutes=number)}
                ]
            }


def value(letters: str) -> str:
    """Return the value of the parameter `verified`."""
    entries = {
        name: {"digest": image.digest, "contentTag": image.content_tag} for name, image in images_of(letters).items()
    }
    return json.dumps({"schema": 1, "images": entries})


def releases_of(*letters: str) -> list[VerifiedRelease]:
    """Return the releases of a history that begins with the first."""
    return history.read(History(*map(value, letters)), "verified")


def served(releases: list[VerifiedRelease]) -> list[str]:
    """Return the releases by the letters of their images."""
    return ["".join(image.digest[-1] for image in release.images.values()) for release in releases]


def test_the_newest_is_first() -> None:
    assert served(releases_of("ab", "ac", "dc")) == ["dc", "ac", "ab"]


def test_versions_in_a_row_with_the_same_images_are_one_release_since_the_first_of_them() -> None:
    releases = releases_of("ab", "ac", "ac", "ac", "ab")
    assert served(releases) == ["ab", "ac", "ab"]
    assert releases[1].since == START + timedelta(minutes=2)


def test_a_version_that_another_slipway_wrote_is_left_out() -> None:
    assert served(history.read(History(value("ab"), '{"schema":0}', "nonsense", value("ac")), "verified")) == [
        "ac",
        "ab",
    ]


def test_a_stack_that_never_served_has_no_release() -> None:
    assert history.read(History(), "verified") == []
    with pytest.raises(ReleaseError, match="Nothing was verified in stack dev yet: bring it up first"):
        history.choose([], "", "dev")


def test_the_same_digests_have_the_same_id_whatever_they_were_built_from() -> None:
    images = images_of("ab")
    again = {name: ReleasedImage(image.digest, "0" * 20) for name, image in images.items()}
    assert history.id_of(images) == history.id_of(again) != history.id_of(images_of("ac"))


@pytest.mark.parametrize(
    ("verified", "before"),
    [
        (("ab", "ac"), "ab"),
        # A second rollback goes further back, and not to the release that was rolled back from.
        (("ab", "ac", "ad", "ac"), "ab"),
        (("ab", "ac", "ad", "ac", "ad"), "ac"),
        # The change to ac was reverted in the code before ad.
        (("ab", "ac", "ab", "ad"), "ab"),
    ],
)
def test_a_rollback_goes_to_the_release_before_the_one_that_serves(verified: tuple[str, ...], before: str) -> None:
    assert served([history.choose(releases_of(*verified), "", "dev")]) == [before]


def test_a_release_is_chosen_by_its_id() -> None:
    releases = releases_of("ab", "ac", "ad")
    assert served([history.choose(releases, history.id_of(images_of("ab")), "dev")]) == ["ab"]


def test_a_release_that_was_never_verified_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"^TO='12345678' is no verified release of stack dev: `make releases STACK"):
        history.choose(releases_of("ab", "ac"), "12345678", "dev")


def test_nothing_before_the_first_release_is_a_sentence_that_names_the_list() -> None:
    for verified in (("ab",), ("ab", "ac", "ab")):
        with pytest.raises(ReleaseError, match=r"has verified no release before [0-9a-f]{8}, which serves: name one"):
            history.choose(releases_of(*verified), "", "dev")


def test_a_line_marks_what_changed_and_what_serves() -> None:
    releases = releases_of("ab", "ac")
    now, first = history.lines(releases, {releases[1].id: "pinned since noon"})
    assert now == (f"{releases[0].id}  2026-11-28 15:02:00 UTC   api aaaaaaaaaaaa  *web cccccccccccc  serves")
    assert first.endswith(" api aaaaaaaaaaaa   web bbbbbbbbbbbb  pinned since noon")


def test_a_remark_is_on_the_newest_line_of_its_release_alone() -> None:
    releases = releases_of("ab", "ac", "ab")
    remarked = ["pinned" in line for line in history.lines(releases, {releases[0].id: "pinned since noon"})]
    assert remarked == [True, False, False]


def test_a_long_history_is_cut() -> None:
    lines = list(history.lines(releases_of(*("ab", "ac") * 12), {}))
    assert len(lines) == history.SHOWN + 1
    assert lines[-1] == "and 4 older ones"
