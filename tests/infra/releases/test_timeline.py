"""The phases of a release on the host, as one line."""

import pytest

from infra.releases import timeline

STEPS = {
    "check": 0.2,
    "pull": 3.0,
    "secrets": 0.3,
    "migrate": 2.4,
    "api": 6.0,
    "caddy": 1.0,
    "verify": 0.5,
    "steady": 6.0,
    "certificate": 2.0,
    "turn": 0.1,
    "watch": 5.0,
}


def test_each_step_counts_to_one_phase_and_none_is_lost() -> None:
    found = timeline.phases(STEPS, ["migrate"])
    assert found == pytest.approx(
        {"prepare": 0.5, "pull": 3.0, "migrate": 2.4, "start": 7.0, "verify": 8.5, "switch": 5.1}
    )
    assert list(found) == ["prepare", "pull", "migrate", "start", "verify", "switch"]
    assert sum(found.values()) == pytest.approx(sum(STEPS.values()))


def test_a_phase_that_a_release_did_not_have_is_left_out() -> None:
    assert timeline.phases({"repair": 4.0}, ["migrate"]) == {"start": 4.0}


def test_the_line_says_all_of_it_and_is_read_again() -> None:
    found = timeline.phases(STEPS, ["migrate"])
    told = timeline.line(found)
    assert told == (
        "took prepare 0.5 s, pull 3.0 s, migrate 2.4 s, start 7.0 s, verify 8.5 s, switch 5.1 s: 26.5 s in all"
    )
    assert timeline.read(told) == pytest.approx(found)


@pytest.mark.parametrize("text", ["pull", "serves after 29.8 s", "api: ready after 6.3 s", "took long"])
def test_another_line_is_no_timeline(text: str) -> None:
    assert timeline.read(text) is None
