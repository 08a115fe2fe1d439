"""A rollback across a migration with the registry away, forward again, and its end by a change of the code.

One story under constant load: nothing is built, and no request fails.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from devcloud.cloud.supervisor import Supervisor
from infra.releases import history, verified
from tests.cloud.releases import Release, wait_for_the_drain

pytestmark = pytest.mark.cloud

ROLLBACK_SECONDS = 3 * 20
"""Three times the bar, on a machine that does other work too."""
REGISTRY = "registry"
"""The process that holds the images; the emulator's ECR stands in front of it."""
MIGRATION = "app/migrations/versions/0004_remarks.py"
ADDS_A_COLUMN = '''"""A column that only newer code knows."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add it."""
    op.add_column("jobs", sa.Column("remark", sa.Text))


def downgrade() -> None:
    """Leave it."""
'''


@pytest.fixture(scope="module")
def committed_images(release: Release) -> dict[str, str]:
    """Return the digests of the code as it was committed."""
    found: dict[str, str] = release.checkout.outputs()["digests"]
    return found


@pytest.fixture(scope="module")
def newer(release: Release, committed_images: dict[str, str]) -> dict[str, str]:
    """Bring up a migration more than the committed code, and return the digests."""
    (release.checkout.root / MIGRATION).write_text(ADDS_A_COLUMN)
    release.up_well()
    return served_images(release)


def served_images(release: Release) -> dict[str, str]:
    """Return the digests of the parameter that says what was verified."""
    text = parameter(release, "verified")
    assert text
    return {image: found.digest for image, found in verified.parse(text).items()}


def parameter(release: Release, name: str) -> str | None:
    """Return the value of one of the stack's parameters, None if there is none."""
    ssm = release.checkout.client("ssm")
    try:
        return str(ssm.get_parameter(Name=f"/slipway/local/{name}")["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None


def roll_back(release: Release, *arguments: str) -> tuple[str, float]:
    """Roll back, once the release before has stopped what it replaced. Return what was said, and the seconds."""
    wait_for_the_drain(release)
    started = time.monotonic()
    done = release.checkout.run("rollback", *arguments)
    seconds = time.monotonic() - started
    assert done.code == 0, done.said
    assert "  image " not in done.said, "something was built"
    return done.said, seconds


def id_of(release: Release) -> str:
    """Return the id of the release that serves, as `releases` lists it."""
    return history.id_of(verified.parse(str(parameter(release, "verified"))))


@pytest.fixture(scope="module")
def story() -> dict[str, Any]:
    """Return the facts that a later test needs of an earlier one."""
    return {}


def test_a_rollback_across_a_migration_needs_no_registry(
    committed_images: dict[str, str],
    newer: dict[str, str],
    release: Release,
    story: dict[str, Any],
    note: Callable[[str], None],
) -> None:
    story["newer"], story["newer_images"], worker = id_of(release), newer, release.worker
    supervisor = Supervisor(release.checkout.cloud.folder)
    wait_for_the_drain(release)
    supervisor.stop_program(REGISTRY)
    try:
        said, seconds = roll_back(release)
    finally:
        supervisor.start_program(REGISTRY)
    note(f"rollback: {seconds:.1f} s with the registry away")
    assert story["newer_images"]["api"] != committed_images["api"] == release.serves
    assert served_images(release) == release.checkout.outputs()["digests"] == committed_images
    assert committed_images["api"] in release.parameter
    assert story["newer_images"]["api"] not in release.parameter
    assert "in place of this checkout" in said
    assert release.worker == worker
    assert release.failed() == []
    assert seconds < ROLLBACK_SECONDS


def test_another_up_of_the_same_code_changes_nothing(release: Release, committed_images: dict[str, str]) -> None:
    said = release.checkout.up("local", "--expect-no-changes").said
    assert "in place of this checkout" in said
    assert release.serves == committed_images["api"]
    assert release.checkout.planned() == {}


def test_the_list_says_what_serves_and_what_is_pinned(release: Release, story: dict[str, Any]) -> None:
    said = release.checkout.run("releases").said.splitlines()
    now, before = [line for line in said if line][:2]
    assert now.startswith(id_of(release))
    assert "serves, pinned since" in now
    assert before.startswith(story["newer"])


def test_forward_again_is_a_rollback_to_the_newer_release(
    release: Release, story: dict[str, Any], note: Callable[[str], None]
) -> None:
    _, seconds = roll_back(release, "--to", story["newer"])
    note(f"rollback: {seconds:.1f} s forward again")
    assert served_images(release) == release.checkout.outputs()["digests"] == story["newer_images"]
    assert release.serves == story["newer_images"]["api"]
    assert release.failed() == []
    assert seconds < ROLLBACK_SECONDS


def test_a_change_of_the_code_lifts_the_pin(
    release: Release, story: dict[str, Any], note: Callable[[str], None]
) -> None:
    assert parameter(release, "pin")
    release.change()
    wait_for_the_drain(release)
    said, seconds = release.up_well()
    note(f"rollback: {seconds:.1f} s until a change of the code serves and has lifted the pin")
    assert "api changed, so the rollback to the release" in said
    assert parameter(release, "pin") is None
    assert release.serves not in (story["newer_images"]["api"], None)
    digests = release.checkout.outputs()["digests"]
    assert {image for image, digest in digests.items() if digest != story["newer_images"][image]} == {"api"}
    assert release.failed() == []


def test_images_of_a_rollback_stay_in_the_registry(release: Release, committed_images: dict[str, str]) -> None:
    ecr = release.checkout.client("ecr")
    for image, digest in committed_images.items():
        assert ecr.describe_images(repositoryName=f"slipway-local/{image}", imageIds=[{"imageDigest": digest}])
