"""One more tag for an image that is in its repository: by its manifest, so that no layer moves."""

from typing import Any

MEDIA_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]


def add_tag(ecr: Any, repository: str, digest: str, tag: str) -> None:
    """Give a digest one more tag; `ecr` is boto3's client, `repository` the repository's name.

    Raises botocore's ClientError where ECR refuses: a tag that does not move, a digest that is not there.
    """
    found = ecr.batch_get_image(
        repositoryName=repository, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=MEDIA_TYPES
    )["images"][0]
    ecr.put_image(
        repositoryName=repository,
        imageManifest=found["imageManifest"],
        imageManifestMediaType=found["imageManifestMediaType"],
        imageDigest=digest,
        imageTag=tag,
    )
