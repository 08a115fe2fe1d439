"""Make an image of another one without a build: another command, another processor, more files.

A release of it costs the host a pull of some kilobytes, and this machine nothing.
"""

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from devcloud.images.registry import RegistryReader
from devcloud.util.registry import OCI_MANIFEST, digest_of

ABSENT = f"sha256:{'0' * 64}"
"""The digest of no image."""


@dataclass(frozen=True)
class Variant:
    """The differences from the image that it is made of. Each one has a digest of its own."""

    entrypoint: Sequence[str] | None = None
    architecture: str | None = None
    files: Mapping[str, str | bytes] | None = None
    """Contents by path, in one more layer."""


def push(registry: RegistryReader, reference: str, variant: Variant) -> str:
    """Push a variant of an image, beside it. Return its reference."""
    address, _, digest = reference.partition("@")
    repository = address.partition("/")[2]
    manifest = registry.image(repository, digest)
    config = registry.config(repository, manifest)
    config["config"].setdefault("Labels", {})
    config["config"]["Labels"] = {**(config["config"]["Labels"] or {}), "variant": str(time.time_ns())}
    if variant.entrypoint:
        config["config"]["Entrypoint"] = list(variant.entrypoint)
    if variant.architecture:
        config["architecture"] = variant.architecture
    if variant.files:
        layer = archive(variant.files)
        packed = gzip.compress(layer, mtime=0)
        config["rootfs"]["diff_ids"].append(digest_of(layer))
        config.setdefault("history", []).append({"created_by": "variant"})
        like = manifest["layers"][-1]["mediaType"]
        entry = {"mediaType": like, "digest": put_blob(registry, repository, packed), "size": len(packed)}
        manifest["layers"].append(entry)
    text = json.dumps(config).encode()
    manifest["config"] |= {"digest": put_blob(registry, repository, text), "size": len(text)}
    data = json.dumps(manifest).encode()
    registry.put(repository, digest_of(data), data, manifest.get("mediaType", OCI_MANIFEST))
    return f"{address}@{digest_of(data)}"


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """Return a layer: an archive of files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def put_blob(registry: RegistryReader, repository: str, data: bytes) -> str:
    """Store a blob. Return its digest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with httpx.Client(trust_env=False, timeout=30) as client:
        begun = client.post(f"{registry.url}/v2/{repository}/blobs/uploads/").raise_for_status()
        where = httpx.URL(registry.url).join(begun.headers["Location"]).copy_merge_params({"digest": digest})
        client.put(where, content=data).raise_for_status()
    return digest
