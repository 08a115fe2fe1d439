"""Read what repositories hold from the registry's own folder: the bytes that a push brought, to the last one.

A blob that is linked into a repository was uploaded to it, or mounted from a neighbour; on a registry that cannot mount
(another account, another region) both are uploads, so both count.
"""

import json
from pathlib import Path


class Store:
    """The folder of a docker-registry (distribution 2.x)."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "docker" / "registry" / "v2"

    def held(self, path: str, without: str | None = None) -> dict[str, int]:
        """Return the blobs of every repository below a path, in bytes by repository and digest.

        `without` names a repository to leave out. Empty if there is none.
        """
        top = self._root / "repositories" / path
        found: dict[str, int] = {}
        links = [*top.rglob("_layers/sha256/*/link"), *top.rglob("_manifests/revisions/sha256/*/link")]
        for link in links:
            digest = link.parent.name
            repository = str(link.relative_to(top)).partition("_")[0].rstrip("/")
            if without is None or repository != without:
                found[f"{repository}@sha256:{digest}"] = self._size(digest)
        return found

    def layers(self, repository: str, digest: str) -> dict[str, int]:
        """Return the layers of an image: bytes by digest."""
        manifest = json.loads(self._blob(digest.removeprefix("sha256:")).read_text())
        return {layer["digest"]: layer["size"] for layer in manifest["layers"]}

    def _size(self, digest: str) -> int:
        blob = self._blob(digest)
        return blob.stat().st_size if blob.exists() else 0

    def _blob(self, digest: str) -> Path:
        return self._root / "blobs" / "sha256" / digest[:2] / digest / "data"
