"""The document of what runs, and the file through which digests are promoted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.releases.release import (
    Release,
    ReleasedImage,
    ReleaseError,
    ReleaseFile,
    format_release_file,
    next_promoted_tag,
    parse,
    parse_release_file,
    read_release_file,
    render,
    write_release_file,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/slipway/api@{DIGEST}"
RELEASE = Release(
    host="slipway-dev-host",
    host_version="3",
    program=HEX[:16],
    services={"migrate": IMAGE, "api": IMAGE},
    secrets={"database-url": 2, "redis-url": 1},
)
NAMES = ("api", "base", "worker")
FILE = ReleaseFile(
    source="dev",
    images={name: ReleasedImage(DIGEST, HEX[:20]) for name in ("worker", "base", "api")},
)


def document(**changes: object) -> str:
    base = {
        "schema": 2,
        "host": "slipway-dev-host",
        "hostVersion": "3",
        "program": HEX[:16],
        "services": {"api": IMAGE},
        "secrets": {},
    }
    return json.dumps({key: value for key, value in (base | changes).items() if value is not ...})


def release_file(**changes: object) -> str:
    return json.dumps(json.loads(format_release_file(FILE)) | changes)


def test_a_release_is_the_same_string_however_its_services_are_ordered() -> None:
    other = Release(
        RELEASE.host,
        RELEASE.host_version,
        RELEASE.program,
        dict([*RELEASE.services.items()][::-1]),
        dict([*RELEASE.secrets.items()][::-1]),
    )
    assert render(other) == render(RELEASE)
    assert render(RELEASE).startswith(
        '{"host":"slipway-dev-host","hostVersion":"3","program":"0123456789abcdef","schema":2,"secrets":{"database-url":2,"redis-url":1},'
        '"services":{"api":'
    )


def test_another_version_of_a_secret_is_another_release() -> None:
    other = replace(RELEASE, secrets={**RELEASE.secrets, "redis-url": 2})
    assert render(other) != render(RELEASE)


def test_a_release_comes_back_from_its_document() -> None:
    assert parse(render(RELEASE)) == RELEASE


def test_a_release_that_no_standard_parameter_holds_is_refused() -> None:
    services = {f"service-{number}": IMAGE for number in range(40)}
    with pytest.raises(ReleaseError, match=r"bytes, more than the 4,096 of a standard parameter"):
        render(Release("host", "1", HEX[:16], services))


def test_a_release_within_the_limit_holds_a_whole_product() -> None:
    services = {f"service-{number}": IMAGE for number in range(20)}
    assert len(render(Release("host", "1", HEX[:16], services))) <= 4096


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[" * 4000, "is not JSON"),
        ("[]", "must be a JSON object with schema, host, hostVersion, program, services, secrets"),
        (document(schema=1), "is of schema 1, but this program knows 2"),
        (document(schema=True), "is of schema true"),
        (document(services=...), 'has no "services"'),
        (document(service={}), 'has "service", which is unknown: did you mean "services"?'),
        (document(extra=1), 'has "extra", which is unknown: it must have schema'),
        (document(services={}), "names no services"),
        (document(services=[IMAGE]), "names no services"),
        (document(services={"api": "repository:latest"}), 'has "repository:latest" for the service "api"'),
        (document(services={"api": None}), 'has null for the service "api"'),
        (
            document(services={"api": f"repository@{DIGEST}0"}),
            "it must be repository@sha256: and 64 hex digits",
        ),
        (document(services={"Api!": IMAGE}), 'calls the service "Api!"'),
        (document(host=""), 'calls the host document ""'),
        (document(hostVersion=3), "has the host version 3"),
        (document(hostVersion="0"), 'has the host version "0"'),
        (document(program=...), 'has no "program"'),
        (document(program="latest"), 'has the program "latest": it must be 16 hex digits'),
        (document(program=7), "has the program 7"),
        (document(secrets=...), 'has no "secrets"'),
        (document(secrets=[]), "has secrets that are not whole numbers by name"),
        (document(secrets={"database-url": "2"}), "has secrets that are not whole numbers by name"),
        (document(secrets={"database-url": True}), "has secrets that are not whole numbers by name"),
        (document(secrets={"database-url": 0}), "has secrets that are not whole numbers by name"),
        (document(secrets={"Database!": 1}), 'calls the secret "Database!"'),
        (document(hostVersion="$LATEST"), 'has the host version "$LATEST"'),
    ],
)
def test_a_bad_document_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        parse(text, "/slipway/dev/release")
    assert str(caught.value).startswith("/slipway/dev/release ")
    assert sentence in str(caught.value)


def test_a_release_without_a_digest_is_never_rendered() -> None:
    # What a skipped build in a preview would make of it.
    with pytest.raises(ReleaseError, match='has "repository@" for the service "api"'):
        render(Release("host", "1", HEX[:16], {"api": "repository@"}))


def test_a_release_file_is_sorted_and_has_one_fact_a_line() -> None:
    assert format_release_file(FILE).splitlines()[:6] == [
        "{",
        '  "from": "dev",',
        '  "images": {',
        '    "api": {',
        f'      "content_tag": "{HEX[:20]}",',
        f'      "digest": "{DIGEST}"',
    ]


def test_a_release_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "releases" / "prod.json"
    assert write_release_file(path, FILE)
    assert read_release_file(path, FILE.images.keys()) == FILE


def untouched(path: Path) -> tuple[int, ...]:
    """What a file keeps that nobody writes: all of its status but when it was last read."""
    found = path.stat()
    return (
        *(found.st_mode, found.st_ino, found.st_dev, found.st_nlink, found.st_uid, found.st_gid, found.st_size),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )


def test_the_same_release_again_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prod.json"
    assert write_release_file(path, FILE)
    before = untouched(path)
    assert not write_release_file(path, FILE)
    assert untouched(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_release_never_replaces_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "prod.json"
    write_release_file(path, FILE)
    with pytest.raises(ReleaseError, match="has the digest"):
        write_release_file(path, ReleaseFile("dev", {"api": ReleasedImage("", HEX[:20])}))
    assert read_release_file(path, FILE.images.keys()) == FILE


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<<<<<<< HEAD", "is not JSON: restore it from git, or promote again"),
        (release_file(schema=9), "is of schema 9"),
        (release_file(**{"from": "Dev"}), 'calls the stack "Dev"'),
        (
            release_file(images={}),
            "names the images none, but the stack runs api, base, worker: promote again",
        ),
        (release_file(images=[]), "names the images none"),
        (release_file(images={"api": {}}), "names the images api, but the stack runs api, base, worker"),
        (
            release_file(images={name: {"digest": DIGEST} for name in NAMES}),
            'must give the image "api" a digest and a content_tag',
        ),
        (
            release_file(images={name: {"digest": "x", "content_tag": HEX[:20]} for name in NAMES}),
            'has the digest "x" for the image "api"',
        ),
        (
            release_file(images={name: {"digest": DIGEST, "content_tag": "latest"} for name in NAMES}),
            'has the content tag "latest" for the image "api"',
        ),
    ],
)
def test_a_bad_release_file_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        parse_release_file(text, "releases/prod.json", ("base", "worker", "api"))
    assert str(caught.value).startswith("releases/prod.json ")
    assert sentence in str(caught.value)


def test_a_missing_release_file_is_named_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"prod.json is not there: `make promote FROM=<stack> TO=prod` writes it"):
        read_release_file(tmp_path / "prod.json", ("api",))


def test_a_release_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prod.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ReleaseError, match="cannot be read"):
        read_release_file(tmp_path / "prod.json", ("api",))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], "release-prod.1"),
        ([HEX[:20], "release-prod.1", "release-prod.2"], "release-prod.3"),
        (["release-prod.9", "release-prod.10"], "release-prod.11"),
        (["release-staging.7", "release-prod-eu.8", "release-prod.x", "release-prod.0"], "release-prod.1"),
    ],
)
def test_promotions_are_numbered_on_by_stack(tags: list[str], expected: str) -> None:
    assert next_promoted_tag("prod", tags) == expected
