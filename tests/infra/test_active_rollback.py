"""A rollback's pin: what the program deploys while it holds, and how it ends."""

import json
from pathlib import Path

import pulumi
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.builds import base_version
from infra.builds.plan import plan_builds
from infra.releases import pin, verified
from infra.releases.release import ReleasedImage, ReleaseError
from tests.infra.conftest import CLOUDS, DIGESTS, PINNED, PRODUCT, REGISTRY, ROOT, Run, settings_of
from tests.infra.test_program import IMAGE, PARAMETER, PINNED_BASE, TASK

OLD = {image: f"sha256:{number:064x}" for number, image in enumerate(PRODUCT.images)}
OLD_TAG = "0" * 20
NAME = "/slipway/dev/pin"
VERIFIED = {"/slipway/dev/verified": "{}"}
BEFORE = verified.render("0" * 12, {image: ReleasedImage(digest, OLD_TAG) for image, digest in OLD.items()})
"""The value of the parameter `verified` of the time when the old images served."""
NOW = verified.render("1" * 12, {image: ReleasedImage(digest, "1" * 20) for image, digest in DIGESTS.items()})


HISTORY = [BEFORE, "of another version of Slipway", NOW]


def tags(stack: str = "dev", values: dict[str, object] | None = None) -> dict[str, str]:
    """Return the tags of this checkout's images."""
    settings = settings_of(stack, values)
    return pin.tags_of(settings, plan_builds(settings, ROOT, base_version.unresolved(settings)))


def parameters(stands_for: dict[str, str]) -> dict[str, str]:
    """Return the parameters of a stack that was rolled back from a checkout with these tags."""
    images = {image: ReleasedImage(digest, OLD_TAG) for image, digest in OLD.items()}
    text = pin.render(pin.Pin(images, stands_for, "arn:aws:iam::1:user/ann", "2026-11-28 15:20 UTC"))
    return {**VERIFIED, NAME: text}


def test_a_pin_that_holds_deploys_its_digests_and_builds_nothing(run: Run) -> None:
    cloud, outputs = run(parameters=parameters(tags()), history=HISTORY)
    assert not cloud.all(IMAGE)
    assert not cloud.staged
    assert "aws:ecr/getAuthorizationToken:getAuthorizationToken" not in cloud.calls
    assert outputs["digests"] == OLD
    services = json.loads(cloud.one(PARAMETER, "release").inputs["insecureValue"])["services"]
    assert services["api"] == f"{REGISTRY}/slipway/api@{OLD['api']}"
    (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
    assert container["image"] == f"{REGISTRY}/slipway/worker@{OLD['worker']}"
    images = json.loads(cloud.one(PARAMETER, "verified").inputs["insecureValue"])["images"]
    assert images["api"] == {"digest": OLD["api"], "contentTag": OLD_TAG}


def test_a_pin_that_holds_is_said_with_its_author_and_stays(run: Run) -> None:
    cloud, _ = run(parameters=parameters(tags()), history=HISTORY)
    (said,) = [line for line in cloud.said if line.startswith("rollback: ")]
    assert "(since 2026-11-28 15:20 UTC, by arn:aws:iam::1:user/ann) in place of this checkout" in said
    assert cloud.ssm.deleted == []
    assert not cloud.ecr.tags, "the base of another checkout got the tag of this one's version"


MIXED = {image: ReleasedImage(OLD[image] if image == "api" else DIGESTS[image], OLD_TAG) for image in OLD}
TAGGED = {image: ReleasedImage(digest, "2" * 20) for image, digest in OLD.items()}


@pytest.mark.parametrize(
    "history",
    [[], [NOW], [NOW, verified.render("2" * 12, MIXED)], [verified.render("2" * 12, TAGGED)], ["{}"]],
    ids=["no-history", "other-images", "another-mixture", "other-tags", "unreadable"],
)
@pytest.mark.parametrize("preview", [False, True])
def test_a_pin_of_what_was_never_verified_is_refused_before_any_resource(
    run: Run, history: list[str], preview: bool
) -> None:
    with pytest.raises(
        ReleaseError,
        match=rf"^The parameter {NAME} names the release [0-9a-f]{{8}}, which is not in the history of",
    ):
        run(preview=preview, parameters=parameters(tags()), history=history)
    assert {asked.type for asked in CLOUDS[-1].asked} == {"pulumi:providers:aws"}


def test_an_aws_that_does_not_tell_the_history_is_one_sentence(run: Run) -> None:
    with pytest.raises(ReleaseError, match=r"^The history of .*/verified could not be read, .* \(AWS: An error.*\)\.$"):
        run(parameters=parameters(tags()), history=HISTORY, history_denied=True)


def test_a_pins_author_and_time_are_no_commands_to_a_terminal(run: Run) -> None:
    images = {image: ReleasedImage(digest, OLD_TAG) for image, digest in OLD.items()}
    text = pin.render(pin.Pin(images, tags(), "\x1b]0;ann\x07", "2026\n\u202e"))
    cloud, _ = run(parameters={**VERIFIED, NAME: text}, history=HISTORY)
    (said,) = [line for line in cloud.said if line.startswith("rollback: ")]
    assert r"(since 2026\n\u202e, by \x1b]0;ann\x07)" in said


def test_a_preview_of_a_rollback_knows_the_digests(run: Run) -> None:
    cloud, outputs = run(preview=True, parameters=parameters(tags()), history=HISTORY)
    assert outputs["digests"] == OLD
    assert not cloud.all(IMAGE)


def test_a_rollback_needs_no_builder(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "none"))
    _, outputs = run(anew=True, parameters=parameters(tags()), history=HISTORY)
    assert outputs["digests"] == OLD


def test_a_pinned_base_is_not_looked_up_in_a_rollback(run: Run) -> None:
    cloud, outputs = run("dev", PINNED_BASE, parameters=parameters(tags("dev", PINNED_BASE)), history=HISTORY)
    assert "aws:ecr/getImage:getImage" not in cloud.calls
    assert outputs["digests"] == OLD


def test_a_changed_image_ends_the_rollback_and_is_built(run: Run) -> None:
    given = parameters({**tags(), "api": "1" * 20})
    cloud, outputs = run(parameters=given)
    assert outputs["digests"] == DIGESTS
    assert {asked.name for asked in cloud.all(IMAGE)} == {f"{image}-image" for image in PRODUCT.images}
    assert cloud.ssm.deleted == [NAME]
    ends, lifted = [line for line in cloud.said if line.startswith("rollback: ")]
    assert ends.startswith("rollback: api changed, so the rollback to the release ")
    assert lifted == f"rollback: lifted, the pin {NAME} is deleted"


def test_an_image_that_came_or_went_ends_the_rollback(run: Run) -> None:
    given = {image: tag for image, tag in tags().items() if image != "web"}
    cloud, _ = run(parameters=parameters(given))
    assert [line for line in cloud.said if line.startswith("rollback: web changed")]


def test_a_base_of_another_version_ends_the_rollback(run: Run) -> None:
    given = parameters({**tags("dev", PINNED_BASE), "base": "1.1.0"})
    cloud, outputs = run("dev", PINNED_BASE, tags={"1.2.0": PINNED}, parameters=given)
    assert outputs["digests"]["base"] == PINNED
    assert cloud.ssm.deleted == [NAME]


def test_a_preview_lifts_no_pin(run: Run) -> None:
    cloud, _ = run(preview=True, parameters=parameters({**tags(), "api": "1" * 20}))
    assert [line for line in cloud.said if "so the rollback to" in line]
    assert cloud.ssm.deleted == []


def test_a_pin_stays_if_the_new_release_is_not_verified(run: Run) -> None:
    with pytest.raises(pulumi.RunError):
        run(host_serves=False, parameters=parameters({**tags(), "api": "1" * 20}))
    assert CLOUDS[-1].ssm.deleted == []


def test_a_pin_that_outlived_its_stack_is_lifted(run: Run) -> None:
    given = parameters(tags())
    cloud, outputs = run(parameters={NAME: given[NAME]})
    assert outputs["digests"] == DIGESTS
    assert cloud.ssm.deleted == [NAME]
    assert [line for line in cloud.said if line.startswith("rollback: the stack was deleted since")]


@pytest.mark.parametrize("text", ["", "null", "{}", '{"schema":2,"images":{},"standsFor":{},"by":"","at":""}'])
def test_a_malformed_pin_is_one_sentence_before_any_resource(run: Run, text: str) -> None:
    with pytest.raises(
        ReleaseError, match=rf"^The parameter {NAME} is not a pin of this version of Slipway: delete it"
    ):
        run(parameters={**VERIFIED, NAME: text})
    assert {asked.type for asked in CLOUDS[-1].asked} == {"pulumi:providers:aws"}


DENIED = ClientError(
    {"Error": {"Code": "AccessDeniedException", "Message": "ann is not authorized to perform: ssm:GetParameters"}},
    "GetParameters",
)


@pytest.mark.parametrize("refusal", [DENIED, EndpointConnectionError(endpoint_url="https://ssm")])
def test_an_aws_that_does_not_tell_the_parameters_is_one_sentence(run: Run, refusal: Exception) -> None:
    with pytest.raises(ReleaseError, match=rf"^AWS could not be asked for {NAME} and /slipway/dev/verified: .*\)\.$"):
        run(ssm_refusal=refusal, anew=True)


def test_no_secret_is_read_to_find_the_pin(run: Run) -> None:
    cloud, _ = run(parameters={**parameters(tags()), "/slipway/dev/openai-api-key": "hush"}, history=HISTORY)
    assert cloud.ssm.read == [NAME, "/slipway/dev/verified"]
    assert [token for token in cloud.calls if "getParametersByPath" in token] == []
