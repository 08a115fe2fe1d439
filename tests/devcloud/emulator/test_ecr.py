"""ECR's API over the real registry."""

import datetime
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Emulator
from .images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Image, Pusher
from .refusals import refusal

pytestmark = pytest.mark.cloud


def test_a_repository_is_addressed_at_the_registry(emulator: Emulator, ecr: Any, repository: str) -> None:
    found = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert found["repositoryUri"] == f"{emulator.front.removeprefix('http://')}/{repository}"


def test_the_token_is_for_the_user_aws_lasts_twelve_hours_and_names_the_registry(
    emulator: Emulator, ecr: Any, token: str
) -> None:
    data = ecr.get_authorization_token()["authorizationData"][0]
    lasts = data["expiresAt"] - datetime.datetime.now(datetime.UTC)
    assert abs(lasts - datetime.timedelta(hours=12)) < datetime.timedelta(minutes=1)
    assert data["proxyEndpoint"] == emulator.front
    assert len(token) >= 32


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_pushed_image_is_described_as_the_registry_holds_it(
    ecr: Any, pusher: Pusher, repository: str, media_type: str
) -> None:
    image = Image(b"layer", media_type)
    assert pusher.push(repository, "one", image).status_code == 201
    details = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert len(details) == 1
    assert details[0]["imageDigest"] == image.digest
    assert details[0]["imageTags"] == ["one"]
    assert details[0]["imageSizeInBytes"] == image.size
    assert details[0]["imageManifestMediaType"] == media_type
    age = datetime.datetime.now(datetime.UTC) - details[0]["imagePushedAt"]
    assert datetime.timedelta() <= age < datetime.timedelta(seconds=30)


def test_an_image_keeps_the_time_of_its_push(ecr: Any, pusher: Pusher, repository: str) -> None:
    pusher.push(repository, "one", Image(b"layer"))
    first = ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imagePushedAt"]
    again = ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imagePushedAt"]
    assert first == again


def test_an_index_is_an_image_as_large_as_its_largest(ecr: Any, pusher: Pusher, repository: str) -> None:
    small, large = Image(b"s"), Image(b"l" * 1000)
    for image in (small, large):
        pusher.push(repository, image.digest, image)
    entries = [
        {"mediaType": OCI_MANIFEST, "digest": image.digest, "size": len(image.manifest)} for image in (small, large)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    assert pusher.put_manifest(repository, "both", index, OCI_INDEX).status_code == 201
    detail = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "both"}])["imageDetails"][0]
    assert detail["imageManifestMediaType"] == OCI_INDEX
    assert detail["imageSizeInBytes"] == large.size


def test_an_image_is_got_by_tag_and_by_digest_as_it_was_pushed(ecr: Any, pusher: Pusher, repository: str) -> None:
    image = Image(b"layer")
    pusher.push(repository, "one", image)
    got = ecr.batch_get_image(
        repositoryName=repository,
        imageIds=[{"imageTag": "one"}, {"imageDigest": image.digest}, {"imageTag": "other"}],
    )
    assert [each["imageManifest"].encode() for each in got["images"]] == [image.manifest] * 2
    assert got["images"][0]["imageId"] == {"imageDigest": image.digest, "imageTag": "one"}
    assert got["images"][1]["imageId"] == {"imageDigest": image.digest}
    assert [each["failureCode"] for each in got["failures"]] == ["ImageNotFound"]


def test_put_image_gives_an_image_another_tag_that_can_be_pulled(ecr: Any, pusher: Pusher, repository: str) -> None:
    image = Image(b"layer")
    pusher.push(repository, "one", image)
    manifest = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "one"}])["images"][0]
    put = ecr.put_image(repositoryName=repository, imageManifest=manifest["imageManifest"], imageTag="release-prod-1")
    assert put["image"]["imageId"] == {"imageDigest": image.digest, "imageTag": "release-prod-1"}
    assert pusher.pull(repository, "release-prod-1").headers["Docker-Content-Digest"] == image.digest
    tags = [each["imageTag"] for each in ecr.list_images(repositoryName=repository)["imageIds"]]
    assert tags == ["one", "release-prod-1"]


def test_put_image_of_what_the_tag_names_already_says_so(ecr: Any, pusher: Pusher, repository: str) -> None:
    image = Image(b"layer")
    pusher.push(repository, "one", image)
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(repositoryName=repository, imageManifest=image.manifest.decode(), imageTag="one")


def test_put_image_does_not_move_an_immutable_tag(ecr: Any, pusher: Pusher, repository: str) -> None:
    image, other = Image(b"layer"), Image(b"other")
    pusher.push(repository, "one", image)
    pusher.push(repository, "two", other)
    with pytest.raises(ClientError) as caught:
        ecr.put_image(repositoryName=repository, imageManifest=other.manifest.decode(), imageTag="one")
    assert refusal(caught) == (
        "ImageTagAlreadyExistsException",
        f"The image tag 'one' already exists in the '{repository}' repository "
        "and cannot be overwritten because the tag is immutable.",
    )
    assert pusher.pull(repository, "one").headers["Docker-Content-Digest"] == image.digest


def test_put_image_moves_a_tag_that_may_move_and_keeps_what_it_named(
    ecr: Any, pusher: Pusher, mutable_repository: str
) -> None:
    image, other = Image(b"layer"), Image(b"other")
    pusher.push(mutable_repository, "latest", image)
    pusher.push(mutable_repository, "other", other)
    ecr.put_image(repositoryName=mutable_repository, imageManifest=other.manifest.decode(), imageTag="latest")
    assert pusher.pull(mutable_repository, "latest").headers["Docker-Content-Digest"] == other.digest
    untagged = ecr.list_images(repositoryName=mutable_repository, filter={"tagStatus": "UNTAGGED"})["imageIds"]
    assert untagged == [{"imageDigest": image.digest}]


def test_put_image_needs_the_layers(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.put_image(
            repositoryName=repository,
            imageManifest=Image(b"nobody pushed this").manifest.decode(),
            imageTag="one",
        )


def test_put_image_refuses_what_is_no_manifest_and_a_digest_of_another(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        ecr.put_image(repositoryName=repository, imageManifest="not json", imageTag="one")
    with pytest.raises(ecr.exceptions.ImageDigestDoesNotMatchException):
        ecr.put_image(
            repositoryName=repository,
            imageManifest=Image(b"a").manifest.decode(),
            imageDigest=Image(b"b").digest,
            imageTag="one",
        )


def test_deleting_one_of_two_tags_leaves_the_image_and_the_other(ecr: Any, pusher: Pusher, repository: str) -> None:
    image = Image(b"layer")
    pusher.push(repository, "one", image)
    pusher.push(repository, "two", image)
    deleted = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "one"}])
    assert deleted["imageIds"] == [{"imageDigest": image.digest, "imageTag": "one"}]
    assert pusher.pull(repository, "one").status_code == 404
    assert pusher.pull(repository, "two").status_code == 200
    assert ecr.list_images(repositoryName=repository)["imageIds"] == [{"imageDigest": image.digest, "imageTag": "two"}]


def test_deleting_the_last_tag_or_the_digest_deletes_the_image(ecr: Any, pusher: Pusher, repository: str) -> None:
    tagged, twice = Image(b"layer"), Image(b"other")
    pusher.push(repository, "one", tagged)
    pusher.push(repository, "two", twice)
    pusher.push(repository, "three", twice)
    deleted = ecr.batch_delete_image(
        repositoryName=repository,
        imageIds=[{"imageTag": "one"}, {"imageDigest": twice.digest}, {"imageTag": "four"}],
    )
    assert len(deleted["imageIds"]) == 3
    assert [each["failureCode"] for each in deleted["failures"]] == ["ImageNotFound"]
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert pusher.pull(repository, twice.digest).status_code == 404


def test_a_repository_with_images_is_deleted_only_by_force_and_then_begins_empty(
    ecr: Any, pusher: Pusher, repository: str
) -> None:
    pusher.push(repository, "one", Image(b"layer"))
    with pytest.raises(ClientError) as caught:
        ecr.delete_repository(repositoryName=repository)
    assert refusal(caught)[0] == "RepositoryNotEmptyException"
    assert refusal(caught)[1].endswith("cannot be deleted because it still contains images")
    ecr.delete_repository(repositoryName=repository, force=True)
    ecr.create_repository(repositoryName=repository)
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert pusher.pull(repository, "one").status_code == 404


def test_images_that_an_emulator_before_left_in_the_registry_are_not_in_a_new_repository(
    emulator: Emulator, ecr: Any, name: str
) -> None:
    image = Image(b"left over")
    assert Pusher(emulator.registry, None).push(f"left/{name}", "one", image).status_code == 201
    ecr.create_repository(repositoryName=f"left/{name}")
    assert ecr.describe_images(repositoryName=f"left/{name}")["imageDetails"] == []


def test_an_image_that_is_not_there_is_not_found(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.ImageNotFoundException) as caught:
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "none"}])
    assert "imageTag:'none'" in str(caught.value)
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_images(repositoryName="no/such")


def test_layers_are_available_when_they_were_pushed(ecr: Any, pusher: Pusher, repository: str) -> None:
    image, missing = Image(b"layer"), f"sha256:{'0' * 64}"
    pusher.push(repository, "one", image)
    layer = json.loads(image.manifest)["layers"][0]["digest"]
    found = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[layer, missing])
    assert [(each["layerDigest"], each["layerSize"]) for each in found["layers"]] == [(layer, len(image.layer))]
    assert [each["layerDigest"] for each in found["failures"]] == [missing]


def test_layers_are_not_taken_by_the_api(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="push with Docker or BuildKit"):
        ecr.initiate_layer_upload(repositoryName=repository)
