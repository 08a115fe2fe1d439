"""Which tags may move."""

import pytest

from devcloud.emulator.mutability import is_immutable


@pytest.mark.parametrize(
    ("setting", "tag", "immutable"),
    [
        ("MUTABLE", "v1", False),
        ("IMMUTABLE", "v1", True),
        ("IMMUTABLE", "cache-main", True),
        ("IMMUTABLE_WITH_EXCLUSION", "v1", True),
        ("IMMUTABLE_WITH_EXCLUSION", "cache-main", False),
        ("MUTABLE_WITH_EXCLUSION", "v1", False),
        ("MUTABLE_WITH_EXCLUSION", "cache-main", True),
    ],
)
def test_an_exclusion_turns_the_setting_around_for_its_tags(setting: str, tag: str, immutable: bool) -> None:
    assert is_immutable(setting, ["cache-*"], tag) is immutable
