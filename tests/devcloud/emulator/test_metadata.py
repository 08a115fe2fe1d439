"""The metadata service: tokens, and what it says of an instance."""

from http import HTTPStatus

import pytest

from devcloud.emulator.metadata import Answer, Facts, Tokens, answer

FACTS = Facts(
    "i-1",
    {
        "meta-data/instance-id": "i-1",
        "meta-data/placement/region": "us-east-1",
        "meta-data/iam/security-credentials/host": lambda: "made when asked for",
        "user-data": "#!/bin/sh\n",
    },
    token_required=True,
)


def ask(path: str, token: str | None = None, *, method: str = "GET", facts: Facts = FACTS, **headers: str) -> Answer:
    """Ask with a token that is i-1's if it is `good`."""
    tokens = Tokens()
    given = {"x-aws-ec2-metadata-token": tokens.give("i-1", 60) if token == "good" else token} if token else {}
    return answer(facts, tokens, method, path, {**given, **{k.replace("_", "-"): v for k, v in headers.items()}})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/latest/meta-data/instance-id", "i-1"),
        ("/latest/meta-data/placement/region", "us-east-1"),
        ("/latest/user-data", "#!/bin/sh\n"),
        ("/latest/meta-data/iam/security-credentials/", "host"),
        ("/latest/meta-data/iam/security-credentials/host", "made when asked for"),
        ("/latest/meta-data/", "iam/\ninstance-id\nplacement/"),
    ],
)
def test_it_answers_who_has_a_token(path: str, body: str) -> None:
    assert ask(path, "good") == Answer(HTTPStatus.OK, body)


def test_it_answers_nobody_else() -> None:
    assert ask("/latest/user-data").status == HTTPStatus.UNAUTHORIZED
    assert ask("/latest/user-data", "made up").status == HTTPStatus.UNAUTHORIZED
    assert ask("/latest/nothing", "good").status == HTTPStatus.NOT_FOUND


def test_a_token_is_the_instances_own() -> None:
    tokens = Tokens()
    token = tokens.give("i-2", 60)
    headers = {"x-aws-ec2-metadata-token": token}
    assert answer(FACTS, tokens, "GET", "/latest/user-data", headers).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("seconds", ["", "0", "21601", "x"])
def test_a_token_is_given_for_as_long_as_is_asked_for_and_at_most_six_hours(seconds: str) -> None:
    header = {"x_aws_ec2_metadata_token_ttl_seconds": seconds}
    assert ask("/latest/api/token", method="PUT", **header).status == HTTPStatus.BAD_REQUEST
    header["x_aws_ec2_metadata_token_ttl_seconds"] = "21600"
    assert ask("/latest/api/token", method="PUT", **header).status == HTTPStatus.OK


def test_a_proxy_gets_no_token() -> None:
    headers = {"x_aws_ec2_metadata_token_ttl_seconds": "60", "x_forwarded_for": "10.0.0.1"}
    assert ask("/latest/api/token", method="PUT", **headers).status == HTTPStatus.FORBIDDEN


def test_version_1_is_answered_only_if_the_instance_allows_it() -> None:
    optional = Facts("i-1", FACTS.entries, token_required=False)
    assert ask("/latest/meta-data/instance-id", facts=optional).body == "i-1"
