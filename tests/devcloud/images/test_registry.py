"""The registry's sizes of images."""

from devcloud.images.registry import unwrapped

GB = 10**9


def test_a_layer_of_more_than_four_gibibytes_is_not_taken_for_a_small_one() -> None:
    # PyPI's torch: 5,284 MB unpacked, 2,962 compressed; a gzip trailer counts modulo 4 GiB.
    assert unwrapped(5_284_000_000 % 2**32, 2_962_000_000) == 5_284_000_000


def test_a_layer_below_that_is_what_its_trailer_says() -> None:
    assert unwrapped(1 * GB, 400_000_000) == 1 * GB


def test_a_tiny_layer_that_grew_when_it_was_compressed_is_still_tiny() -> None:
    assert unwrapped(32, 150) == 32
