"""A client of a container registry, by its HTTP API V2."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST, *INDEX_TYPES)

TIMEOUT_SECONDS = 30.0
MOST_REPOSITORIES = 1000
"""Repositories that one call may list; a cloud has some ten."""


class RegistryError(Exception):
    """A request that the registry refused, with the code of its first error (`MANIFEST_INVALID`), or did not answer."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Manifest:
    """A manifest as it is stored."""

    digest: str
    media_type: str
    text: str

    @property
    def content(self) -> dict[str, Any]:
        """Its JSON."""
        content: dict[str, Any] = json.loads(self.text)
        return content


def digest_of(manifest: bytes) -> str:
    """Return the digest that names a manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def media_type_of(content: dict[str, Any]) -> str:
    """Return the media type of a manifest, which OCI lets it leave out."""
    if declared := content.get("mediaType"):
        return str(declared)
    return OCI_INDEX if "manifests" in content else OCI_MANIFEST


class Registry:
    """A registry without authentication, at a URL like `http://127.0.0.1:5000`. Threads may share it.

    Every call raises RegistryError if the registry does not answer, or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # urllib3, because urllib and requests take a proxy from the environment.
        self._http = urllib3.PoolManager(maxsize=8, timeout=TIMEOUT_SECONDS, retries=urllib3.Retry(2, redirect=False))

    def repositories(self) -> list[str]:
        """Return the names of all repositories that were ever pushed to."""
        response = self._request("GET", "_catalog", fields={"n": str(MOST_REPOSITORIES)})
        found: list[str] = response.json().get("repositories") or []
        return found

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, sorted; none if the registry does not know it."""
        response = self._request("GET", f"{repository}/tags/list", missing_is_fine=True)
        return sorted(response.json().get("tags") or []) if response.status == 200 else []

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that a tag or a digest names, or None."""
        response = self._request("HEAD", f"{repository}/manifests/{reference}", missing_is_fine=True)
        return response.headers["Docker-Content-Digest"] if response.status == 200 else None

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Return the manifest that a tag or a digest names, or None."""
        response = self._request("GET", f"{repository}/manifests/{reference}", missing_is_fine=True)
        if response.status != 200:
            return None
        return Manifest(
            response.headers["Docker-Content-Digest"], response.headers["Content-Type"], response.data.decode()
        )

    def put(self, repository: str, reference: str, manifest: bytes, media_type: str) -> None:
        """Store a manifest under a tag or its digest."""
        self._request("PUT", f"{repository}/manifests/{reference}", manifest, {"Content-Type": media_type})

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, if it is there, and every tag that names it. Blobs stay."""
        self._request("DELETE", f"{repository}/manifests/{digest}", missing_is_fine=True)

    def untag(self, repository: str, tag: str) -> None:
        """Delete a tag and keep what it names.

        The registry's API (2.8) has no call for that: the tag is first moved to an empty index that nothing else
        names, which is then deleted.
        """
        content = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [],
            "annotations": {"untagged": uuid.uuid4().hex},
        }
        stand_in = json.dumps(content).encode()
        self.put(repository, tag, stand_in, OCI_INDEX)
        self.delete(repository, digest_of(stand_in))

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob in bytes, or None if the repository does not have it."""
        response = self._request("HEAD", f"{repository}/blobs/{digest}", missing_is_fine=True)
        return int(response.headers["Content-Length"]) if response.status == 200 else None

    def blob(self, repository: str, digest: str, start: int = 0) -> bytes:
        """Return a blob, from the byte `start` on."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        return self._request("GET", f"{repository}/blobs/{digest}", headers=headers).data

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
        missing_is_fine: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        sent = {"Accept": ", ".join(MANIFEST_TYPES), **(headers or {})}
        url = f"{self.url}/v2/{quote(path, safe='/:')}"
        try:
            response = self._http.request(method, url, body=body, fields=fields, headers=sent)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the registry at {self.url} did not answer {method} /v2/{path}: {error}") from None
        if response.status < 400 or (response.status == 404 and missing_is_fine):
            return response
        try:
            code = response.json()["errors"][0]["code"]
        except (ValueError, KeyError, IndexError):
            code = ""
        raise RegistryError(f"the registry answered {method} /v2/{path} with {response.status} {code}", code)
