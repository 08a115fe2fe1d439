"""The reading of a release document; the queue and the parameter themselves are in test_service.py."""

from datetime import UTC, datetime

import pytest

from app.dashboard.cloud import ReleaseError, ServiceImage, read_release

SINCE = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def test_a_release_names_each_services_repository_and_digest() -> None:
    release = read_release('{"services": {"web": "r/web@sha256:b", "api": "r:5000/api@sha256:a"}}', 3, SINCE)
    assert release.services == (
        ServiceImage("api", "r:5000/api", "sha256:a"),
        ServiceImage("web", "r/web", "sha256:b"),
    )
    assert (release.version, release.since, release.host_version) == (3, SINCE, "?")


@pytest.mark.parametrize("document", ["", "[]", "null", "{}", '{"services": []}', '{"services": {"api": 7}}'])
def test_anything_else_is_no_release(document: str) -> None:
    with pytest.raises(ReleaseError, match="holds no release document"):
        read_release(document, 1, SINCE)
