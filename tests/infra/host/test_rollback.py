"""A release that goes back to images that the host still has."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.infra.host.fake import SERVICES, digest, image, make, release_text
from tests.infra.host.test_deploy import deployed, served


@pytest.mark.parametrize("back_to", [1, 2])
def test_going_back_asks_neither_the_registry_nor_for_its_login(tmp_path: Path, back_to: int) -> None:
    host, machine, aws = make(tmp_path)
    for number in (1, 2, 3):
        assert deployed(host, release_text(number))["cause"] == ""
    machine.registry_away_until = math.inf
    machine.commands.clear()
    aws.asked.clear()
    assert deployed(host, release_text(back_to))["cause"] == ""
    assert served(host) == dict.fromkeys(("api", "dashboard", "web"), digest(back_to))
    assert not [command for command in machine.commands if "pull" in command]
    assert "login" not in aws.asked


def test_the_images_of_three_releases_stay(tmp_path: Path) -> None:
    host, machine, _ = make(tmp_path)
    for number in (1, 2, 3, 4):
        deployed(host, release_text(number))
    assert machine.pulled == {image(name, number) for name in SERVICES for number in (2, 3, 4)}
