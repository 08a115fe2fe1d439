"""Read images from the registry behind a cloud's ECR: manifests, configurations, sizes."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devcloud.cloud.cloud import Cloud
from devcloud.util.console import UserError
from devcloud.util.registry import Registry

GZIP_TRAILER_BYTES = 4
GZIP_MODULUS = 2**32
GZIP_OVERHEAD_BYTES = 1024
"""More than gzip adds to a layer of some kilobytes that it cannot compress."""


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


class RegistryReader(Registry):
    """The registry of a cloud, on loopback, and what images in it are made of."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(f"http://127.0.0.1:{cloud.ports.registry}")

    def image(self, repository: str, reference: str) -> dict[str, Any]:
        """Return the manifest of an image, by tag or digest. Raise UserError if the registry has none."""
        if manifest := self.manifest(repository, reference):
            return manifest.content
        raise UserError(f"The registry has no image {reference} in {repository}: `make up` builds and pushes it.")

    def size(self, repository: str, reference: str) -> Size:
        """Return an image's size; the unpacked one from each gzip layer's trailer (RFC 1952, ISIZE)."""
        return Size.total([self.layer_size(repository, layer) for layer in self.image(repository, reference)["layers"]])

    def layer_size(self, repository: str, layer: Mapping[str, Any]) -> Size:
        """Return the size of one layer, as a manifest describes it."""
        compressed: int = layer["size"]
        if not layer["mediaType"].endswith("gzip"):
            return Size(compressed, None)
        trailer = self.blob(repository, layer["digest"], compressed - GZIP_TRAILER_BYTES)[-GZIP_TRAILER_BYTES:]
        (isize,) = struct.unpack("<I", trailer)
        return Size(compressed, unwrapped(isize, compressed))

    def config(self, repository: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Return an image's configuration: what it runs, and the history of its layers."""
        found: dict[str, Any] = json.loads(self.blob(repository, manifest["config"]["digest"]))
        return found
