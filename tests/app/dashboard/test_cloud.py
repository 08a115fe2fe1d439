"""The reading of the verified releases; the queue and the parameter themselves are in test_service.py."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dashboard.cloud import ReleasedImage, ReleaseError, read_release, read_releases
from tests.app.dashboard.fakes import verified

SINCE = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def test_a_release_names_each_images_digest_and_tag() -> None:
    release = read_release(verified("0123456789ab", web="sha256:b", api="sha256:a"), SINCE)
    assert release.images == (
        ReleasedImage("api", "sha256:a", "0" * 20),
        ReleasedImage("web", "sha256:b", "0" * 20),
    )
    assert (release.id, release.since) == ("0123456789ab", SINCE)


def test_a_release_of_before_they_had_names_is_still_one() -> None:
    release = read_release('{"schema": 1, "images": {"api": {"digest": "sha256:a", "contentTag": "t"}}}', SINCE)
    assert (release.id, release.images) == ("", (ReleasedImage("api", "sha256:a", "t"),))


def test_the_last_three_are_shown_with_what_each_changed() -> None:
    history = [
        verified("a", api="1", web="1"),
        verified("b", api="1", web="2"),
        verified("c", api="2", web="2"),
        verified("d", api="2", web="2", worker="1"),
        verified("e", api="2", web="2", worker="1"),
    ]
    found = read_releases([(document, SINCE + timedelta(days=day)) for day, document in enumerate(history)])
    assert [(release.id, release.changed) for release in found] == [("e", ()), ("d", ("worker",)), ("c", ("api",))]
    assert found[0].since == SINCE + timedelta(days=4)


def test_the_very_first_release_changed_nothing_that_was_there() -> None:
    (release,) = read_releases([(verified("a", api="1"), SINCE)])
    assert release.changed is None


@pytest.mark.parametrize("document", ["", "[]", "null", "{}", '{"images": []}', '{"images": {"api": 7}}'])
def test_anything_else_is_no_release(document: str) -> None:
    with pytest.raises(ReleaseError, match="holds no verified release"):
        read_release(document, SINCE)
