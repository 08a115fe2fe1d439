"""Tiny images, pushed and pulled by the registry protocol as any client would."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import httpx

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
EVERY_MANIFEST = f"{DOCKER_MANIFEST}, {OCI_MANIFEST}, {OCI_INDEX}"


def digest_of(content: bytes) -> str:
    """The digest that names this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """An image of one layer."""

    layer: bytes
    media_type: str = OCI_MANIFEST

    @property
    def config(self) -> bytes:
        """Its configuration."""
        return json.dumps({"architecture": "amd64", "os": "linux", "layer": digest_of(self.layer)}).encode()

    @property
    def manifest(self) -> bytes:
        """Its manifest, of its media type."""
        docker = self.media_type == DOCKER_MANIFEST
        config = (
            "application/vnd.docker.container.image.v1+json" if docker else "application/vnd.oci.image.config.v1+json"
        )
        layer = (
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
            if docker
            else "application/vnd.oci.image.layer.v1.tar+gzip"
        )
        parts = [(config, self.config), (layer, self.layer)]
        described = [{"mediaType": kind, "digest": digest_of(part), "size": len(part)} for kind, part in parts]
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": described[0],
                "layers": described[1:],
            }
        ).encode()

    @property
    def digest(self) -> str:
        """Its digest."""
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """Bytes of its layer and configuration."""
        return len(self.layer) + len(self.config)


class Pusher:
    """A client of a registry, with a user and a token."""

    def __init__(self, url: str, login: tuple[str, str] | None) -> None:
        self.http = httpx.Client(base_url=url, auth=login, trust_env=False, timeout=30)

    def upload(self, repository: str, content: bytes) -> httpx.Response:
        """Upload a blob as Docker does: open an upload, PATCH it in, PUT the end."""
        opened = self.http.post(f"/v2/{repository}/blobs/uploads/")
        if opened.status_code != 202:
            return opened
        halves = [content[: len(content) // 2], content[len(content) // 2 :]]
        patched = self.http.patch(opened.headers["Location"], content=iter(halves))  # chunked
        assert patched.status_code == 202, patched.text
        return self.http.put(
            patched.headers["Location"], params=self._with(patched.headers["Location"], digest_of(content))
        )

    def put_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str) -> httpx.Response:
        """PUT a manifest under a tag or a digest."""
        headers = {"Content-Type": media_type}
        return self.http.put(f"/v2/{repository}/manifests/{reference}", content=manifest, headers=headers)

    def push(self, repository: str, tag: str, image: Image) -> httpx.Response:
        """Push an image under a tag; the answer is that to its manifest, or the first refusal."""
        for blob in (image.config, image.layer):
            response = self.upload(repository, blob)
            if response.status_code != 201:
                return response
        return self.put_manifest(repository, tag, image.manifest, image.media_type)

    def pull(self, repository: str, reference: str) -> httpx.Response:
        """GET a manifest by a tag or a digest."""
        return self.http.get(f"/v2/{repository}/manifests/{reference}", headers={"Accept": EVERY_MANIFEST})

    def blob(self, repository: str, digest: str, **headers: str) -> httpx.Response:
        """GET a blob."""
        return self.http.get(f"/v2/{repository}/blobs/{digest}", headers=headers)

    @staticmethod
    def _with(location: str, digest: str) -> dict[str, Any]:
        # httpx replaces a URL's query by the parameters that it is given.
        return {**dict(httpx.URL(location).params), "digest": digest}


def error(response: httpx.Response) -> tuple[int, str, str]:
    """A refusal's status, code and message."""
    first = response.json()["errors"][0]
    return response.status_code, first["code"], first["message"]
