"""The message of a refused push."""

from infra.components.image import ImageArgs, moved_tag

ARGS = ImageArgs(
    image="api",
    context="../.slipway/context/dev/api",
    dockerfile="images/api/Dockerfile",
    repository="registry/slipway/api",
    content_tag="7fefe3745f9f100243ed",
    cache="registry/slipway/cache",
    platform="linux/amd64",
    compression="zstd",
    compression_level=3,
    builder=None,
    login=(),
)
ECR = (
    "failed to push registry/slipway/api:7fefe3745f9f100243ed: unexpected status from PUT request: 400 Bad Request: "
    "The image tag '7fefe3745f9f100243ed' already exists in the 'slipway/api' repository and cannot be overwritten "
    "because the tag is immutable."
)


def test_a_push_that_would_move_a_tag_is_one_sentence_with_the_remedy() -> None:
    sentence = moved_tag(ARGS, [ECR])
    assert sentence is not None
    assert sentence.startswith("image api: the tag 7fefe3745f9f100243ed names another digest already")
    assert "delete the tag from the api repository" in sentence


def test_any_other_failure_is_left_to_its_own_words() -> None:
    assert moved_tag(ARGS, ["failed to solve: process did not complete successfully: exit code: 1"]) is None
