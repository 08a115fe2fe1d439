"""The registry's sizes of images."""

import gzip
import json
from pathlib import Path

import pytest

from devcloud.cloud.cloud import Cloud
from devcloud.images.registry import RegistryReader, Size, unwrapped
from devcloud.util.console import UserError
from devcloud.util.registry import Manifest

GB = 10**9


def test_a_layer_of_more_than_four_gibibytes_is_not_taken_for_a_small_one() -> None:
    # PyPI's torch: 5,284 MB unpacked, 2,962 compressed; a gzip trailer counts modulo 4 GiB.
    assert unwrapped(5_284_000_000 % 2**32, 2_962_000_000) == 5_284_000_000


def test_a_layer_below_that_is_what_its_trailer_says() -> None:
    assert unwrapped(1 * GB, 400_000_000) == 1 * GB


def test_a_tiny_layer_that_grew_when_it_was_compressed_is_still_tiny() -> None:
    assert unwrapped(32, 150) == 32


class OneImage(RegistryReader):
    """A registry that has one image, of a gzip layer and a zstd layer."""

    def __init__(self, cache: Path) -> None:
        super().__init__(Cloud("one", cache))
        self.layer = gzip.compress(b"x" * 5000)
        layers = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "a", "size": len(self.layer)},
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": "b", "size": 70},
        ]
        self.content = {"layers": layers}

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        return Manifest("", "", json.dumps(self.content)) if reference == "one" else None

    def blob(self, repository: str, digest: str, start: int = 0) -> bytes:
        assert digest == "a", "a layer that is not gzip has no trailer to read"
        return self.layer[start:]


def test_a_gzip_layers_size_is_read_from_its_trailer(tmp_path: Path) -> None:
    registry = OneImage(tmp_path)
    assert registry.layer_size("api", registry.content["layers"][0]) == Size(len(registry.layer), 5000)


def test_an_images_unpacked_size_is_unknown_if_one_layers_is(tmp_path: Path) -> None:
    registry = OneImage(tmp_path)
    assert registry.size("api", "one") == Size(len(registry.layer) + 70, None)


def test_an_image_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="The registry has no image two in api: `make up` builds and pushes it"):
        OneImage(tmp_path).size("api", "two")
