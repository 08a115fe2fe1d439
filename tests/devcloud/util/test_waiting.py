"""Waiting for a condition."""

import pytest

from devcloud.util.waiting import wait_until


def test_it_ends_as_soon_as_the_condition_holds() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 5, pause=0)
    assert next(answers, None) is None


def test_it_gives_up_after_its_limit() -> None:
    assert not wait_until(lambda: False, 0.01, pause=0.001)


def test_the_one_who_waits_is_told_at_once_and_then_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devcloud.util.console.HEARTBEAT_SECONDS", 0.05)
    told: list[None] = []
    assert not wait_until(lambda: False, 0.12, pause=0.001, meanwhile=lambda: told.append(None))
    assert len(told) == 3
    assert wait_until(lambda: True, meanwhile=lambda: told.append(None))
    assert len(told) == 3
