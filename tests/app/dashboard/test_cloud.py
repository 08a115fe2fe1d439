"""The reading of the verified releases; the queue and the parameter themselves are in test_service.py."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from app.dashboard.cloud import ReleasedImage, ReleaseError, SsmReleases, read_release, read_releases
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


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Stand in for SSM."""
    client: Any = boto3.client("ssm", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def version(number: int) -> dict[str, Any]:
    return {
        "Value": verified(f"release-{number}", api=f"sha256:{number}"),
        "LastModifiedDate": SINCE,
        "Version": number,
    }


def test_the_history_is_read_to_its_end_and_by_one_call_alone(ssm: Stubber) -> None:
    asked = {"Name": "/p/s/verified"}
    first = {"Parameters": [version(number) for number in range(1, 51)], "NextToken": "more"}
    ssm.add_response("get_parameter_history", first, asked)
    last = {"Parameters": [version(number) for number in range(51, 53)]}
    ssm.add_response("get_parameter_history", last, {**asked, "NextToken": "more"})
    found = asyncio.run(SsmReleases("/p/s/verified", "us-east-1").last())
    assert [(release.id, release.changed) for release in found or ()] == [
        ("release-52", ("api",)),
        ("release-51", ("api",)),
        ("release-50", ("api",)),
    ]


def test_before_the_first_release_is_verified_there_is_none(ssm: Stubber) -> None:
    ssm.add_client_error("get_parameter_history", "ParameterNotFound")
    assert asyncio.run(SsmReleases("/p/s/verified", "us-east-1").last()) == ()


def test_without_a_parameter_nothing_is_asked(ssm: Stubber) -> None:
    assert asyncio.run(SsmReleases(None, "us-east-1").last()) is None
