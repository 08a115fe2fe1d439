"""The builder that the settings name is asked for before anything is created."""

import json
from pathlib import Path

import pytest

from infra.builds import buildx


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "instances").mkdir()
    return {"BUILDX_CONFIG": str(tmp_path)}


def make(home: dict[str, str], name: str, driver: str) -> None:
    (Path(home["BUILDX_CONFIG"]) / "instances" / name).write_text(json.dumps({"Name": name, "Driver": driver}))


def test_a_builder_that_can_keep_a_cache_is_taken(home: dict[str, str]) -> None:
    for driver in ("remote", "docker-container"):
        make(home, driver, driver)
        buildx.check("slipway", driver, home)


def test_a_builder_that_is_not_there_is_one_sentence_with_the_command_that_makes_it(home: dict[str, str]) -> None:
    with pytest.raises(
        buildx.BuilderError,
        match=r"^slipway:images\.builder is 'team', but this machine has no such builder; run `make builder`",
    ):
        buildx.check("slipway", "team", home)


def test_a_builder_that_can_keep_no_cache_is_refused(home: dict[str, str]) -> None:
    make(home, "default", "docker")
    with pytest.raises(buildx.BuilderError, match=r"whose driver `docker` cannot keep a registry cache"):
        buildx.check("slipway", "default", home)


def test_buildx_keeps_its_builders_beside_dockers_settings(tmp_path: Path) -> None:
    folder = tmp_path / "buildx" / "instances"
    folder.mkdir(parents=True)
    (folder / "team").write_text('{"Driver": "remote"}')
    buildx.check("slipway", "team", {"DOCKER_CONFIG": str(tmp_path)})
