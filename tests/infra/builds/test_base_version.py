"""The base's version: one content each, told without a registry."""

import shutil
from pathlib import Path

import pytest

from infra import ROOT
from infra.builds import base_version
from infra.builds.base_version import VersionError
from tests.infra.conftest import settings_of

CHANGELOG, VERSION = "images/base/CHANGELOG.md", "images/base/VERSION"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a base of version 1.0.0."""
    folder = tmp_path / "images" / "base"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "product.yaml", tmp_path)
    (folder / "Dockerfile").write_text("FROM python\n")
    (folder / "requirements.lock").write_text("numpy==1\n")
    (folder / "VERSION").write_text("0.0.0\n")
    (folder / "CHANGELOG.md").write_text("# Changelog\n\nWhat each version brought.\n")
    base_version.start(tmp_path, "1.0.0", "the first")
    return tmp_path


def append(root: Path, name: str) -> None:
    with (root / "images" / "base" / name).open("a") as file:
        file.write("# a line\n")


def test_a_version_that_says_what_is_there_is_right(root: Path) -> None:
    assert base_version.problem(root) is None


@pytest.mark.parametrize("name", ["Dockerfile", "requirements.lock"])
def test_a_change_under_an_unchanged_version_is_named_with_the_command_that_mends_it(root: Path, name: str) -> None:
    append(root, name)
    sentence = base_version.problem(root)
    assert sentence is not None
    assert sentence.startswith("images/base has changed")
    assert 'make base-version VERSION=1.1.0 CHANGE="what changed"' in sentence


def test_prose_is_no_change(root: Path) -> None:
    append(root, "README.md")
    append(root, "CHANGELOG.md")
    assert base_version.problem(root) is None


def test_the_command_that_is_named_mends_it(root: Path) -> None:
    append(root, "requirements.lock")
    base_version.start(root, "1.1.0", "a line")
    assert base_version.problem(root) is None
    assert (root / VERSION).read_text() == "1.1.0\n"


def test_the_newest_version_stands_on_top_of_the_changelog_and_the_others_stay(root: Path) -> None:
    append(root, "Dockerfile")
    base_version.start(root, "1.1.0", "a line\nmore")
    text = (root / CHANGELOG).read_text()
    assert list(base_version.versions(root)) == ["1.1.0", "1.0.0"]
    assert text.startswith("# Changelog\n\nWhat each version brought.\n\n## 1.1.0 (inputs ")
    assert "- a line more\n\n## 1.0.0 (inputs " in text
    assert text.endswith("- the first\n")


@pytest.mark.parametrize(
    ("version", "change", "reason"),
    [
        ("1.1", "x", "is no version"),
        ("v1.1.0", "x", "is no version"),
        ("01.1.0", "x", "is no version"),
        ("", "x", "is no version"),
        ("1.0.0", "x", r"does not come after 1\.0\.0.*the next is 1\.1\.0"),
        ("0.9.9", "x", r"does not come after 1\.0\.0"),
        ("1.1.0", " ", "CHANGE is empty"),
    ],
)
def test_a_version_that_cannot_be_is_refused_and_nothing_is_written(
    root: Path, version: str, change: str, reason: str
) -> None:
    before = (root / CHANGELOG).read_text()
    with pytest.raises(VersionError, match=reason):
        base_version.start(root, version, change)
    assert (root / CHANGELOG).read_text() == before
    assert base_version.read(root) == "1.0.0"


def test_ten_comes_after_nine(root: Path) -> None:
    base_version.start(root, "1.9.0", "nine")
    base_version.start(root, "1.10.0", "ten")
    assert base_version.read(root) == "1.10.0"


def test_a_version_without_an_entry_is_named(root: Path) -> None:
    (root / VERSION).write_text("2.0.0\n")
    assert "has no entry for 2.0.0" in str(base_version.problem(root))


def test_a_version_that_went_back_is_named(root: Path) -> None:
    base_version.start(root, "1.1.0", "x")
    (root / VERSION).write_text("1.0.0\n")
    assert "the newest version in images/base/CHANGELOG.md is 1.1.0" in str(base_version.problem(root))


def test_a_version_that_is_no_version_is_named(root: Path) -> None:
    (root / VERSION).write_text("latest\n")
    assert "says 'latest': it must be three numbers" in str(base_version.problem(root))


def test_the_content_tag_is_told_from_an_images_other_tags() -> None:
    tags = ["1.2.0", "release-prod-7", "0123456789abcdef0123"]
    assert base_version.content_tag("1.2.0", "slipway/base", tags) == "0123456789abcdef0123"
    with pytest.raises(VersionError, match=r"slipway/base:1\.2\.0 has no content tag"):
        base_version.content_tag("1.2.0", "slipway/base", ["1.2.0"])


def test_a_registry_that_has_no_such_image_is_told_from_one_that_could_not_be_asked() -> None:
    pinning = settings_of("dev", {"slipway:images": {"baseVersion": "1.2.0"}})

    def sentence(reason: str) -> str:
        return base_version.not_found(pinning, "slipway/base", reason)

    for reason in ("reading ECR Images: couldn't find resource", "RepositoryNotFoundException: no repository"):
        assert "slipway/base has no image of that version; `make base VERSION=1.2.0 STACK=dev` builds it" in sentence(
            reason
        )
    refused = sentence("AccessDeniedException: not authorized to perform: ecr:DescribeImages")
    assert "make base" not in refused
    assert "check the credentials" in refused
    assert "not authorized" in refused
