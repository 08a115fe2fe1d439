"""An operator's rollback: the pin that it writes, or the file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.builds import base_version
from infra.builds.plan import plan_builds
from infra.releases import history, pin, rollback
from infra.releases.history import VerifiedRelease
from infra.releases.release import ReleasedImage, ReleaseError, ReleaseFile, read_release_file, write_release_file
from infra.settings import Settings
from tests.infra.conftest import DIGESTS, PRODUCT, ROOT, settings_of

BY = "arn:aws:iam::123456789012:user/ann"
OLD = VerifiedRelease(
    {image: ReleasedImage(f"sha256:{number:064x}", "0" * 20) for number, image in enumerate(PRODUCT.images)},
    datetime(2026, 11, 28, 15, tzinfo=UTC),
)
FILE = {"slipway:registry": {"owner": "dev"}, "slipway:images": {"source": "releases/prod.json"}}


class Ssm:
    """The parameters of an account."""

    class exceptions:  # noqa: N801  boto3's name
        class ParameterNotFound(Exception):  # noqa: N818  AWS's name
            pass

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> None:  # noqa: N803  AWS's names
        assert Overwrite or Name not in self.values
        assert Type == "String"
        self.values[Name] = Value

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        if Name not in self.values:
            raise self.exceptions.ParameterNotFound
        return {"Parameter": {"Value": self.values[Name]}}

    def delete_parameter(self, *, Name: str) -> None:  # noqa: N803
        if self.values.pop(Name, None) is None:
            raise self.exceptions.ParameterNotFound


RUN = {*PRODUCT.host_images, *([PRODUCT.worker.image] if PRODUCT.worker else [])}
"""The images that run; the base does not."""


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeImages")


class Ecr:
    """A registry that answers for each repository with its error, or has everything it is asked for."""

    def __init__(self, errors: dict[str, Exception] | None = None) -> None:
        self.errors = errors or {}
        self.asked: dict[str, str] = {}

    def describe_images(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> None:  # noqa: N803
        self.asked[repositoryName] = imageIds[0]["imageDigest"]
        if repositoryName in self.errors:
            raise self.errors[repositoryName]


@pytest.fixture
def prod(tmp_path: Path) -> Settings:
    """Return the settings of a stack that builds nothing; its file is below `tmp_path`."""
    images = {image: ReleasedImage(digest, "1" * 20) for image, digest in DIGESTS.items()}
    write_release_file(tmp_path / "releases" / "prod.json", ReleaseFile("staging", images))
    return settings_of("prod", FILE)


def test_the_pin_names_the_digests_and_the_tags_of_the_checkout_that_they_stand_in_for() -> None:
    ssm, settings = Ssm(), settings_of("dev")
    said = rollback.write_pin(settings, OLD, ssm, BY)
    assert said.startswith(
        f"Stack dev is pinned to the release {OLD.id} (/slipway/dev/pin): each `up` deploys it until"
    )
    found = pin.read(ssm, "/slipway/dev/pin")
    assert found is not None
    assert (found.images, found.by) == (OLD.images, BY)
    assert found.stands_for == {image: plan.content_tag for image, plan in plan_builds(settings, ROOT).items()}


def test_the_pin_of_a_stack_with_a_pinned_base_needs_no_registry() -> None:
    ssm, settings = Ssm(), settings_of("dev", {"slipway:images": {"baseVersion": "1.2.0"}})
    rollback.write_pin(settings, OLD, ssm, BY)
    found = pin.read(ssm, "/slipway/dev/pin")
    assert found is not None
    assert found.stands_for["base"] == "1.2.0"
    assert found.changed(pin.tags_of(settings, plan_builds(settings, ROOT, base_version.unresolved(settings)))) == ()


def test_another_rollback_takes_the_place_of_the_pin() -> None:
    ssm, settings = Ssm(), settings_of("dev")
    rollback.write_pin(settings, OLD, ssm, BY)
    newer = VerifiedRelease({**OLD.images, "api": ReleasedImage(DIGESTS["api"], "2" * 20)}, OLD.since)
    rollback.write_pin(settings, newer, ssm, BY)
    (text,) = ssm.values.values()
    assert DIGESTS["api"] in text
    assert rollback.notes(settings, ssm).keys() == {newer.id}


def test_the_registry_is_asked_for_each_image_that_runs() -> None:
    ecr = Ecr()
    assert rollback.check_images(settings_of("dev"), OLD, ecr) is None
    assert ecr.asked == {f"slipway/{image}": OLD.images[image].digest for image in RUN}


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_a_release_whose_image_is_gone_is_refused_with_the_remedy(code: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        rollback.check_images(settings_of("dev"), OLD, Ecr({"slipway/worker": refusal(code)}))
    assert str(caught.value) == (
        f"The release {OLD.id} cannot be gone back to: its image worker ({OLD.images['worker'].digest}) is no longer "
        "in the repository slipway/worker, which keeps only its newest images (registry.keepImages): choose another "
        "release by TO=, of those that `make releases STACK=dev` lists, or bring its commit up, which builds it again."
    )


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://ecr"),
        refusal("500", "<!doctype html>\n<title>500 Internal Server Error</title>\n"),
        refusal("AccessDeniedException", "ann is not authorized to perform: ecr:DescribeImages"),
    ],
)
def test_a_registry_that_does_not_say_stops_no_rollback(error: Exception) -> None:
    said = rollback.check_images(settings_of("dev"), OLD, Ecr({"slipway/worker": error}))
    assert said is not None
    assert said.startswith(f"The registry does not say whether it has the images of the release {OLD.id} (")
    assert "its last three releases" in said
    assert "\n" not in said


def test_a_registry_of_another_kind_is_not_asked() -> None:
    ecr = Ecr()
    elsewhere = settings_of("dev", {"slipway:registry": {"address": "127.0.0.1:5000"}})
    assert rollback.check_images(elsewhere, OLD, ecr) is None
    assert ecr.asked == {}


def test_a_release_without_an_image_of_the_product_is_refused() -> None:
    ssm = Ssm()
    less = VerifiedRelease({image: found for image, found in OLD.images.items() if image != "web"}, OLD.since)
    with pytest.raises(ReleaseError, match=rf"^The release {less.id} has no image web, which product\.yaml of this"):
        rollback.write_pin(settings_of("dev"), less, ssm, BY)
    assert ssm.values == {}


def test_an_image_that_the_product_no_longer_has_is_left_out() -> None:
    ssm = Ssm()
    more = VerifiedRelease({**OLD.images, "gone": ReleasedImage(f"sha256:{'f' * 64}", "0" * 20)}, OLD.since)
    rollback.write_pin(settings_of("dev"), more, ssm, BY)
    found = pin.read(ssm, "/slipway/dev/pin")
    assert found is not None
    assert found.images.keys() == PRODUCT.images.keys()


def test_a_stack_that_builds_nothing_goes_back_by_its_file(prod: Settings, tmp_path: Path) -> None:
    said = rollback.rewrite_file(prod, OLD, tmp_path)
    assert said.startswith(f"releases/prod.json names the release {OLD.id} now. Stack prod builds nothing, so the file")
    written = read_release_file(tmp_path / "releases" / "prod.json", PRODUCT.images)
    assert (written.source, written.images) == ("staging", OLD.images)
    assert rollback.notes(prod, Ssm(), tmp_path) == {OLD.id: "in releases/prod.json"}
    assert f"named the release {OLD.id} already" in rollback.rewrite_file(prod, OLD, tmp_path)


def test_a_stack_without_its_file_has_no_note_and_no_rollback(tmp_path: Path) -> None:
    settings = settings_of("prod", FILE)
    assert rollback.notes(settings, Ssm(), tmp_path) == {}
    with pytest.raises(ReleaseError, match=r"releases/prod\.json is not there: `make promote"):
        rollback.rewrite_file(settings, OLD, tmp_path)


def test_a_stack_that_is_not_rolled_back_has_no_note() -> None:
    assert rollback.notes(settings_of("dev"), Ssm()) == {}


def test_what_changes_is_said() -> None:
    serving = VerifiedRelease({**OLD.images, "api": ReleasedImage(DIGESTS["api"], "2" * 20)}, OLD.since)
    assert rollback.difference(serving, OLD) == (
        f"From {serving.id} (since 2026-11-28 15:00:00 UTC) to {OLD.id} (2026-11-28 15:00:00 UTC): api."
    )
    assert rollback.difference(OLD, OLD) == f"The release {OLD.id} serves already; it stays."


def test_a_pin_that_is_not_there_is_deleted_all_the_same() -> None:
    ssm = Ssm()
    rollback.write_pin(settings_of("dev"), OLD, ssm, BY)
    for _ in range(2):
        pin.delete(ssm, "/slipway/dev/pin")
        assert pin.read(ssm, "/slipway/dev/pin") is None


WHOLE = pin.Pin(OLD.images, dict.fromkeys(OLD.images, "3" * 20), BY, "2026-11-28 15:20 UTC")


def test_a_pin_is_read_as_it_was_written() -> None:
    assert pin.parse(pin.render(WHOLE), "The pin") == WHOLE


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 2},
        {"standsFor": {}},
        {"standsFor": None},
        {"images": {}},
        {"images": {"api": {"digest": "latest", "contentTag": "0" * 20}}},
        {"standsFor": {"another": "3" * 20}},
        {"images": {"\x1b[2J\nall well": {"digest": f"sha256:{'0' * 64}", "contentTag": "0" * 20}}},
    ],
)
def test_a_damaged_pin_is_one_sentence_with_the_remedy(damage: dict[str, Any]) -> None:
    text = json.dumps(json.loads(pin.render(WHOLE)) | damage)
    with pytest.raises(ReleaseError, match=r"^Here is not a pin of this version of Slipway: delete it to deploy this"):
        pin.parse(text, "Here")


def test_images_that_changed_came_or_went_are_named() -> None:
    tags = dict(WHOLE.stands_for)
    assert WHOLE.changed(tags) == ()
    assert WHOLE.changed({**tags, "web": "4" * 20, "new": "5" * 20}) == ("new", "web")
    assert WHOLE.changed({image: tag for image, tag in tags.items() if image != "api"}) == ("api",)


def test_the_releases_of_a_stack_are_those_of_its_verified_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "read", lambda _, name: [name])
    assert rollback.releases(settings_of("dev"), Ssm()) == ["/slipway/dev/verified"]
