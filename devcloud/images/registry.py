"""Read the registry behind this cloud's ECR: manifests, sizes, tags."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from devcloud.cloud.cloud import Cloud
from devcloud.emulator.registry import MANIFEST_TYPES

MANIFESTS = ", ".join(MANIFEST_TYPES)
GZIP_TRAILER_BYTES = 4
GZIP_MODULUS = 2**32
GZIP_OVERHEAD_BYTES = 1024
"""More than gzip adds to what it cannot compress, for layers of some kilobytes."""


@dataclass(frozen=True)
class Size:
    """An image's size in bytes."""

    compressed: int
    unpacked: int | None
    """None if the layers' compression does not tell."""

    @classmethod
    def total(cls, sizes: Sequence["Size"]) -> "Size":
        """Return the size of several layers together."""
        unpacked = [size.unpacked for size in sizes if size.unpacked is not None]
        return cls(sum(size.compressed for size in sizes), sum(unpacked) if len(unpacked) == len(sizes) else None)


def unwrapped(isize: int, compressed: int) -> int:
    """Return a layer's size from its gzip trailer, which counts modulo 4 GiB: layers hardly grow when compressed."""
    return isize if isize + GZIP_OVERHEAD_BYTES >= compressed else unwrapped(isize + GZIP_MODULUS, compressed)


class RegistryReader:
    """Reads the registry directly, on loopback."""

    def __init__(self, cloud: Cloud) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{cloud.ports.registry}/v2", timeout=30, trust_env=False)

    def repositories(self) -> list[str]:
        """Return the names of all repositories that were ever pushed to."""
        found: list[str] = self._client.get("/_catalog", params={"n": 1000}).json().get("repositories") or []
        return found

    def tags(self, repository: str) -> list[str]:
        answer = self._client.get(f"/{repository}/tags/list")
        return sorted(answer.json().get("tags") or []) if answer.is_success else []

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that a tag names, or None."""
        answer = self._client.head(f"/{repository}/manifests/{reference}", headers={"Accept": MANIFESTS})
        return answer.headers.get("Docker-Content-Digest") if answer.is_success else None

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """Return a manifest, by tag or digest."""
        answer = self._client.get(f"/{repository}/manifests/{reference}", headers={"Accept": MANIFESTS})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def size(self, repository: str, reference: str) -> Size:
        """Return an image's size. The unpacked size is read from the trailers of its gzip layers (RFC 1952, ISIZE)."""
        layers = self.manifest(repository, reference)["layers"]
        return Size.total([self.layer_size(repository, layer) for layer in layers])

    def layer_size(self, repository: str, layer: dict[str, Any]) -> Size:
        """Return the size of one layer of a manifest."""
        gzip = layer["mediaType"].endswith("gzip")
        return Size(layer["size"], self._isize(repository, layer) if gzip else None)

    def config(self, repository: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return an image's configuration: what it runs, and the history of its layers."""
        answer = self._client.get(f"/{repository}/blobs/{manifest['config']['digest']}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _isize(self, repository: str, layer: dict[str, Any]) -> int:
        last = layer["size"] - 1
        span = {"Range": f"bytes={last - GZIP_TRAILER_BYTES + 1}-{last}"}
        answer = self._client.get(f"/{repository}/blobs/{layer['digest']}", headers=span)
        answer.raise_for_status()
        (size,) = struct.unpack("<I", answer.content[-GZIP_TRAILER_BYTES:])
        return unwrapped(int(size), layer["size"])
