"""ECR's registry, as a registry client meets it."""

import json
import threading
from typing import Any

import httpx
import pytest

from .conftest import Emulator
from .images import OCI_INDEX, Image, Pusher, digest_of, error

pytestmark = pytest.mark.cloud


def test_without_a_login_it_asks_for_one(emulator: Emulator) -> None:
    response = Pusher(emulator.front, None).http.get("/v2/")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_with_ecrs_token_it_is_a_registry(pusher: Pusher) -> None:
    response = pusher.http.get("/v2/")
    assert response.status_code == 200
    assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_another_token_or_another_user_is_denied(emulator: Emulator, token: str, repository: str) -> None:
    for login in (("AWS", "of yesterday"), ("AWS", ""), ("someone", token)):
        refused = error(Pusher(emulator.front, login).pull(repository, "one"))
        assert refused == (
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )


def test_a_broken_login_is_denied(emulator: Emulator) -> None:
    with httpx.Client(base_url=emulator.front, trust_env=False) as http:
        response = http.get("/v2/", headers={"Authorization": "Basic %%%"})
    assert error(response)[:2] == (403, "DENIED")


def test_what_is_pushed_is_what_is_pulled(pusher: Pusher, repository: str) -> None:
    image = Image(bytes(range(256)) * 40_000)  # 10 MB: many reads and writes
    pushed = pusher.push(repository, "one", image)
    assert pushed.status_code == 201
    assert pushed.headers["Docker-Content-Digest"] == image.digest
    for reference in ("one", image.digest):
        pulled = pusher.pull(repository, reference)
        assert pulled.content == image.manifest
        assert pulled.headers["Content-Type"] == image.media_type
    assert pusher.blob(repository, digest_of(image.layer)).content == image.layer
    assert pusher.http.get(f"/v2/{repository}/tags/list").json()["tags"] == ["one"]


def test_a_part_of_a_blob_can_be_pulled(pusher: Pusher, repository: str) -> None:
    image = Image(b"0123456789")
    pusher.push(repository, "one", image)
    part = pusher.blob(repository, digest_of(image.layer), Range="bytes=2-5")
    assert part.status_code == 206
    assert part.content == b"2345"


def test_a_head_tells_size_and_digest_without_the_content(pusher: Pusher, repository: str) -> None:
    image = Image(b"0123456789")
    pusher.push(repository, "one", image)
    head = pusher.http.head(f"/v2/{repository}/blobs/{digest_of(image.layer)}")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "10", b"")
    manifest = pusher.http.head(f"/v2/{repository}/manifests/one", headers={"Accept": image.media_type})
    assert manifest.headers["Docker-Content-Digest"] == image.digest


def test_a_blob_is_uploaded_in_one_request_with_its_length(pusher: Pusher, repository: str) -> None:
    content = b"all at once"
    opened = pusher.http.post(f"/v2/{repository}/blobs/uploads/")
    location = httpx.URL(opened.headers["Location"])
    assert location.is_relative_url
    put = pusher.http.put(location.copy_merge_params({"digest": digest_of(content)}), content=content)
    assert put.status_code == 201
    assert pusher.blob(repository, digest_of(content)).content == content


def test_a_blob_with_another_digest_is_refused_by_the_registry(pusher: Pusher, repository: str) -> None:
    opened = pusher.http.post(f"/v2/{repository}/blobs/uploads/")
    location = httpx.URL(opened.headers["Location"]).copy_merge_params({"digest": digest_of(b"one")})
    assert error(pusher.http.put(location, content=b"other"))[:2] == (400, "DIGEST_INVALID")


def test_a_repository_that_ecr_does_not_have_is_unknown_in_ecrs_words(pusher: Pusher) -> None:
    expected = (
        404,
        "NAME_UNKNOWN",
        "The repository with name 'no/such' does not exist in the registry with id '123456789012'",
    )
    assert error(pusher.push("no/such", "one", Image(b"layer"))) == expected
    assert error(pusher.pull("no/such", "one")) == expected
    assert error(pusher.put_manifest("no/such", "one", b"{}", OCI_INDEX)) == expected


def test_what_else_the_registry_holds_is_not_ecrs(emulator: Emulator, pusher: Pusher, name: str) -> None:
    Pusher(emulator.registry, None).push(f"library/{name}", "one", Image(b"layer"))
    assert error(pusher.pull(f"library/{name}", "one"))[:2] == (404, "NAME_UNKNOWN")
    assert error(pusher.http.get("/v2/_catalog"))[:2] == (404, "UNSUPPORTED")


def test_official_images_are_pulled_through_and_never_pushed(emulator: Emulator, pusher: Pusher, name: str) -> None:
    image = Image(b"layer")
    Pusher(emulator.registry, None).push(f"library/{name}", "one", image)
    cached = f"ecr-public/docker/library/{name}"
    assert pusher.pull(cached, "one").content == image.manifest
    assert pusher.blob(cached, digest_of(image.layer)).content == image.layer
    assert error(pusher.push(cached, "two", image))[:2] == (404, "NAME_UNKNOWN")


def test_a_repository_can_be_pushed_to_as_soon_as_it_exists(ecr: Any, pusher: Pusher, name: str) -> None:
    assert pusher.push(f"soon/{name}", "one", Image(b"layer")).status_code == 404
    ecr.create_repository(repositoryName=f"soon/{name}")
    assert pusher.push(f"soon/{name}", "one", Image(b"layer")).status_code == 201


def test_an_immutable_tag_does_not_move(pusher: Pusher, repository: str) -> None:
    image = Image(b"layer")
    pusher.push(repository, "one", image)
    assert error(pusher.push(repository, "one", Image(b"other"))) == (
        400,
        "TAG_INVALID",
        f"The image tag 'one' already exists in the '{repository}' repository "
        "and cannot be overwritten because the tag is immutable.",
    )
    assert pusher.pull(repository, "one").content == image.manifest


def test_an_immutable_tag_takes_what_it_names_already(pusher: Pusher, repository: str) -> None:
    for _ in range(2):
        assert pusher.push(repository, "one", Image(b"layer")).status_code == 201


def test_of_two_pushes_at_once_to_an_immutable_tag_one_is_refused(pusher: Pusher, repository: str) -> None:
    images = [Image(f"layer {number}".encode()) for number in range(6)]
    for image in images:
        pusher.push(repository, image.digest, image)
    answers: list[int] = []

    def push(image: Image) -> None:
        answers.append(pusher.put_manifest(repository, "one", image.manifest, image.media_type).status_code)

    threads = [threading.Thread(target=push, args=(image,)) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 400, 400, 400, 400, 400]


def test_a_mutable_tag_moves(pusher: Pusher, mutable_repository: str) -> None:
    image = Image(b"other")
    pusher.push(mutable_repository, "one", Image(b"layer"))
    assert pusher.push(mutable_repository, "one", image).status_code == 201
    assert pusher.pull(mutable_repository, "one").content == image.manifest


def test_a_repository_made_immutable_holds_its_tags_from_then_on(
    ecr: Any, pusher: Pusher, mutable_repository: str
) -> None:
    pusher.push(mutable_repository, "one", Image(b"layer"))
    ecr.put_image_tag_mutability(repositoryName=mutable_repository, imageTagMutability="IMMUTABLE")
    assert error(pusher.push(mutable_repository, "one", Image(b"other")))[:2] == (400, "TAG_INVALID")


def test_an_exclusion_lets_its_tags_move_in_an_immutable_repository(ecr: Any, pusher: Pusher, name: str) -> None:
    ecr.create_repository(
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "cache-*"}],
    )
    for tag in ("cache-main", "v1"):
        pusher.push(name, tag, Image(b"layer"))
    assert pusher.push(name, "cache-main", Image(b"other")).status_code == 201
    assert pusher.push(name, "v1", Image(b"other")).status_code == 400


def test_a_cache_in_buildkits_default_form_is_refused(pusher: Pusher, repository: str) -> None:
    entry = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest_of(b""), "size": 0}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    status, code, message = error(pusher.put_manifest(repository, "cache", index, OCI_INDEX))
    assert (status, code) == (400, "MANIFEST_INVALID")
    assert "image-manifest=true" in message


def test_a_manifest_without_its_layers_is_refused_by_the_registry(pusher: Pusher, repository: str) -> None:
    image = Image(b"never pushed")
    response = pusher.put_manifest(repository, "one", image.manifest, image.media_type)
    assert error(response)[:2] == (400, "MANIFEST_BLOB_UNKNOWN")


def test_a_layer_is_mounted_from_another_repository_of_ecrs_but_not_from_elsewhere(
    emulator: Emulator, pusher: Pusher, repository: str, mutable_repository: str, name: str
) -> None:
    image = Image(b"shared")
    pusher.push(repository, "one", image)
    elsewhere = Image(b"not shared")
    Pusher(emulator.registry, None).push(f"library/{name}", "one", elsewhere)

    def mount(layer: bytes, source: str) -> int:
        parameters = {"mount": digest_of(layer), "from": source}
        return pusher.http.post(f"/v2/{mutable_repository}/blobs/uploads/", params=parameters).status_code

    assert mount(image.layer, repository) == 201
    assert mount(elsewhere.layer, f"library/{name}") == 202


def test_no_path_leads_out_of_a_repository(pusher: Pusher, repository: str) -> None:
    response = pusher.http.get(f"/v2/{repository}/manifests/%2E%2E")
    assert response.status_code == 404
    assert error(pusher.http.get(f"/v2/{repository}/manifests/..%2F..%2F_catalog"))[0] == 404
