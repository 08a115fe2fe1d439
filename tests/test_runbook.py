"""The runbook names commands and messages that exist."""

import re

import pytest

from infra import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SOURCES = "".join(
    file.read_text() for folder in ("infra/host", "infra/releases") for file in sorted((ROOT / folder).glob("*.py"))
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)", RUNBOOK))))
def test_every_command_of_make_exists(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize("message", re.findall(r"^\| `([^`]+)` \|", RUNBOOK, re.MULTILINE))
def test_every_message_is_one_of_the_programs(message: str) -> None:
    assert message in SOURCES


def test_every_setting_is_on_the_page_of_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    named = set(re.findall(r"slipway:[A-Za-z.]+[A-Za-z]", RUNBOOK))
    assert named
    assert {name for name in named if name not in page} == set()
