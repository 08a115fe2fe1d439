"""ECR's own API over a real registry: what it says of images is what the registry holds.

Repositories, their settings and policies are moto's; manifests and tags are the registry's. ECR knows of
each image when it was pushed, which no registry tells: an image is dated when this emulator first learns of
it, and `registry_proxy` sees to it that this is right after the push. A repository begins empty, as on AWS.
"""

import base64
import datetime
import json
import threading
from dataclasses import dataclass
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ecr import urls
from moto.ecr.exceptions import (
    ImageAlreadyExistsException,
    ImageNotFoundException,
    InvalidParameterException,
    RepositoryNotEmptyException,
)
from moto.ecr.models import ECRBackend, Repository, ecr_backends
from moto.ecr.policy_validation import EcrLifecyclePolicyValidator
from moto.ecr.responses import ECRResponse

from devcloud.emulator import lifecycle_policy, moto_overrides, mutability
from devcloud.emulator.moto_overrides import AwsError
from devcloud.emulator.registry_api import TOKENS
from devcloud.util.registry import INDEX_TYPES, Manifest, Registry, RegistryError, digest_of, media_type_of

TOKEN_LIFE = datetime.timedelta(hours=12)  # GetAuthorizationToken in the ECR API reference


@dataclass(frozen=True)
class Image:
    """An image of a repository: what the registry holds, with all of its tags."""

    manifest: Manifest
    tags: list[str]
    pushed_at: datetime.datetime

    def id(self, tag: str | None = None) -> dict[str, str]:
        """What ECR calls it: its digest, and a tag where there is one to name."""
        return {"imageDigest": self.manifest.digest, **({"imageTag": tag} if tag else {})}


class EcrBackend(ECRBackend):
    """moto's repositories over a registry's images. `install` says which registry."""

    _url_module = urls
    registry: Registry
    registry_address: str

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        # repository -> digest -> when it was first seen
        self.seen: dict[str, dict[str, datetime.datetime]] = {}
        self.put_lock = threading.Lock()

    def create_repository(self, *args: Any, **kwargs: Any) -> Repository:
        """CreateRepository, empty: what a former emulator's repository of this name left goes."""
        repository = super().create_repository(*args, **kwargs)
        repository.uri = f"{self.registry_address}/{repository.name}"
        self.delete_images(repository.name)
        return repository

    def delete_repository(
        self, repository_name: str, registry_id: str | None = None, force: bool = False
    ) -> Repository:
        """DeleteRepository: the images go from the registry too."""
        repository = self._get_repository(repository_name, registry_id)
        if not force and self.images(repository_name):
            raise RepositoryNotEmptyException(repository_name, repository.registry_id)
        self.delete_images(repository_name)
        return super().delete_repository(repository_name, registry_id, force)

    def put_lifecycle_policy(
        self, registry_id: str, repository_name: str, lifecycle_policy_text: str
    ) -> dict[str, Any]:
        """PutLifecyclePolicy, refusing what moto lets through."""
        # moto's own checks come first: what they pass is a list of rules.
        EcrLifecyclePolicyValidator(lifecycle_policy_text).validate()
        if problem := lifecycle_policy.problem(json.loads(lifecycle_policy_text)["rules"]):
            raise InvalidParameterException(
                "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation "
                f"failure: {problem}'"
            )
        return super().put_lifecycle_policy(registry_id, repository_name, lifecycle_policy_text)

    def delete_images(self, name: str) -> None:
        """Delete every manifest of a repository, and with them its tags. Blobs stay: they are shared."""
        for image in self.images(name):
            self.registry.delete(name, image.manifest.digest)
        self.seen.pop(name, None)

    def images(self, name: str) -> list[Image]:
        """All images of a repository: those with tags, and those that were seen and still exist without."""
        tagged: dict[str, list[str]] = {digest: [] for digest in list(self.seen.get(name, {}))}
        for tag in self.registry.tags(name):
            if digest := self.registry.digest(name, tag):
                tagged.setdefault(digest, []).append(tag)
        found = [self.image(name, digest, tags) for digest, tags in tagged.items()]
        return [image for image in found if image]

    def image(self, name: str, digest: str, tags: list[str]) -> Image | None:
        """One image by its digest, or None; `tags` are those that the caller knows to name it."""
        seen = self.seen.setdefault(name, {})
        manifest = self.registry.manifest(name, digest)
        if not manifest:
            seen.pop(digest, None)
            return None
        return Image(manifest, tags, seen.setdefault(digest, datetime.datetime.now(datetime.UTC)))

    def find(self, images: list[Image], image_id: dict[str, str], name: str) -> Image | None:
        """The image that an id means, among `images` and, by digest, among those not seen before."""
        tag, digest = image_id.get("imageTag"), image_id.get("imageDigest")
        if not tag and digest and digest not in {image.manifest.digest for image in images}:
            return self.image(name, digest, [])
        for image in images:
            if (not tag or tag in image.tags) and (not digest or digest == image.manifest.digest):
                return image
        return None

    def size(self, name: str, manifest: Manifest) -> int:
        """Bytes of an image: its layers and configuration; of an index, those of its largest image."""
        content = manifest.content
        if manifest.media_type in INDEX_TYPES:
            parts = [self.registry.manifest(name, entry["digest"]) for entry in content["manifests"]]
            return max((self.size(name, part) for part in parts if part), default=0)
        return int(sum(part["size"] for part in [content["config"], *content["layers"]]))


class Response(ECRResponse):
    """The calls about images, answered by the registry."""

    @property
    def backend(self) -> EcrBackend:
        return cast(EcrBackend, self.ecr_backend)

    def get_authorization_token(self) -> ActionResult:
        """GetAuthorizationToken: the caller's own, by which `registry_proxy` knows what it may do."""
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{TOKENS.of(self.get_access_key())}".encode()).decode(),
            "expiresAt": datetime.datetime.now(datetime.UTC) + TOKEN_LIFE,
            "proxyEndpoint": f"http://{self.backend.registry_address}",
        }
        return ActionResult({"authorizationData": [data]})

    def list_images(self) -> ActionResult:
        """ListImages, all on one page."""
        status = (self._get_param("filter") or {}).get("tagStatus", "ANY")
        ids = []
        for image in self._images():
            if image.tags and status in ("ANY", "TAGGED"):
                ids += [image.id(tag) for tag in image.tags]
            if not image.tags and status in ("ANY", "UNTAGGED"):
                ids.append(image.id())
        return ActionResult({"imageIds": ids})

    def describe_images(self) -> ActionResult:
        """DescribeImages, all on one page."""
        repository, images = self._repository(), self._images()
        if asked := self._get_param("imageIds"):
            images = [self._required(images, image_id) for image_id in asked]
        details = [
            {
                "registryId": repository.registry_id,
                "repositoryName": repository.name,
                "imageDigest": image.manifest.digest,
                **({"imageTags": image.tags} if image.tags else {}),
                "imageSizeInBytes": self.backend.size(repository.name, image.manifest),
                "imagePushedAt": image.pushed_at,
                "imageManifestMediaType": image.manifest.media_type,
                "artifactMediaType": image.manifest.content.get("config", {}).get("mediaType"),
            }
            for image in images
        ]
        return ActionResult({"imageDetails": details})

    def batch_get_image(self) -> ActionResult:
        repository, images = self._repository(), self._images()
        found, failures = [], []
        for image_id in self._get_param("imageIds"):
            image = self.backend.find(images, image_id, repository.name)
            if image:
                found.append(described(repository, image, image_id.get("imageTag")))
            else:
                failures.append(not_found(image_id))
        return ActionResult({"images": found, "failures": failures})

    def put_image(self) -> ActionResult:
        """PutImage: a manifest under a new tag, e.g. one that lives already under another."""
        repository, backend = self._repository(), self.backend
        text, tag = self._get_param("imageManifest"), self._get_param("imageTag")
        try:
            content = Manifest("", "", text).content
        except ValueError:
            raise InvalidParameterException(
                "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
            ) from None
        media_type = self._get_param("imageManifestMediaType") or media_type_of(content)
        digest = digest_of(text.encode())
        if (self._get_param("imageDigest") or digest) != digest:
            raise AwsError(
                "ImageDigestDoesNotMatchException",
                f"The provided digest '{self._get_param('imageDigest')}' does not match "
                f"the computed digest '{digest}'.",
            )
        with backend.put_lock:
            named = backend.registry.digest(repository.name, tag or digest)
            if named == digest:
                raise ImageAlreadyExistsException(
                    registry_id=repository.registry_id, image_tag=tag, digest=digest, repository_name=repository.name
                )
            if named and mutability.is_immutable(repository.image_tag_mutability, exclusions_of(repository), tag):
                raise AwsError("ImageTagAlreadyExistsException", mutability.refusal(tag, repository.name))
            try:
                backend.registry.put(repository.name, tag or digest, text.encode(), media_type)
            except RegistryError as error:
                raise refused_manifest(error, repository) from error
        image = backend.image(repository.name, digest, [tag] if tag else [])
        if not image:
            raise AwsError("ServerException", f"the registry lost {digest} right after it took it")
        return ActionResult({"image": described(repository, image, tag)})

    def batch_delete_image(self) -> ActionResult:
        """BatchDeleteImage: by digest an image with its tags; by tag the tag, and with the last the image."""
        repository, images, backend = self._repository(), self._images(), self.backend
        deleted, failures = [], []
        for image_id in self._get_param("imageIds"):
            image, tag = backend.find(images, image_id, repository.name), image_id.get("imageTag")
            if not image:
                failures.append(not_found(image_id))
            elif tag and image.tags != [tag]:
                backend.registry.untag(repository.name, tag)
                image.tags.remove(tag)
                deleted.append(image.id(tag))
            else:
                backend.registry.delete(repository.name, image.manifest.digest)
                backend.seen[repository.name].pop(image.manifest.digest, None)
                images = [other for other in images if other is not image]
                deleted += [image.id(each) for each in image.tags] or [image.id()]
        return ActionResult({"imageIds": deleted, "failures": failures})

    def batch_check_layer_availability(self) -> ActionResult:
        """BatchCheckLayerAvailability, by the registry's blobs."""
        repository = self._repository()
        layers, failures = [], []
        for digest in self._get_param("layerDigests"):
            size = self.backend.registry.blob_size(repository.name, digest)
            if size is None:
                reason = f"Layer digest '{digest}' could not be found"
                failure = {"layerDigest": digest, "failureCode": "MissingLayerDigest", "failureReason": reason}
                failures.append(failure)
            else:
                layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size})
        return ActionResult({"layers": layers, "failures": failures})

    def initiate_layer_upload(self) -> ActionResult:
        """InitiateLayerUpload: refused, since moto would keep the layer where no one can pull it."""
        raise AwsError(
            "InvalidParameterException",
            "devcloud's ECR takes layers by the registry protocol only: push with Docker or BuildKit.",
        )

    def _repository(self) -> Repository:
        return self.backend._get_repository(self._get_param("repositoryName"), self._get_param("registryId"))

    def _images(self) -> list[Image]:
        return self.backend.images(self._repository().name)

    def _required(self, images: list[Image], image_id: dict[str, str]) -> Image:
        repository = self._repository()
        image = self.backend.find(images, image_id, repository.name)
        if not image:
            digest, tag = image_id.get("imageDigest", "null"), image_id.get("imageTag", "null")
            raise ImageNotFoundException(
                image_id=f"{{imageDigest:'{digest}', imageTag:'{tag}'}}",
                repository_name=repository.name,
                registry_id=repository.registry_id,
            )
        return image


def exclusions_of(repository: Repository) -> list[str]:
    """The wildcards of a repository's tag mutability."""
    return [each["filter"] for each in repository.image_tag_mutability_exclusion_filters or []]


def described(repository: Repository, image: Image, tag: str | None) -> dict[str, Any]:
    """An image as PutImage and BatchGetImage give it back."""
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "imageId": image.id(tag),
        "imageManifest": image.manifest.text,
        "imageManifestMediaType": image.manifest.media_type,
    }


def not_found(image_id: dict[str, str]) -> dict[str, Any]:
    """The failure that a batch call reports for an image that is not there."""
    return {"imageId": image_id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


def refused_manifest(error: RegistryError, repository: Repository) -> AwsError:
    """ECR's refusal for a manifest that the registry refused."""
    where = f"repository with name '{repository.name}' in the registry with id '{repository.registry_id}'"
    if error.code in ("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"):
        return AwsError("LayersNotFoundException", f"Layers required for pushing image into {where} do not exist.")
    if error.code == "MANIFEST_UNKNOWN":
        return AwsError(
            "ReferencedImagesNotFoundException", f"Images referenced by the manifest do not exist in {where}."
        )
    return AwsError(
        "InvalidParameterException",
        f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid image manifest' ({error.code})",
    )


def install(registry_url: str, registry_address: str) -> None:
    """Put the additions in moto's place.

    `registry_url` is the registry that holds the images; `registry_address` (`host:port`) is what users are
    told to push to and pull from, where `registry_proxy` listens.
    """
    EcrBackend.registry = Registry(registry_url)
    EcrBackend.registry_address = registry_address
    moto_overrides.install(ecr_backends, EcrBackend, urls, Response)
