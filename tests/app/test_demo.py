"""Accounts to try the product with, under `make dev`."""

import json
import stat
from pathlib import Path

import httpx
import pytest

from app import demo


def test_accounts_are_made_once_with_passwords_by_chance_that_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    first = demo.read_users(file)
    assert demo.read_users(file) == first
    assert [user.role for user in first] == ["operator", "user"]
    assert len({user.password for user in first}) == 2
    assert all(len(user.password) >= 12 for user in first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def auth(sign_up: int, sign_in: int = 200) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content).keys() == {"email", "password"}
        return httpx.Response(sign_up if request.url.path == "/sign-up" else sign_in)

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://auth")


def test_an_account_that_is_there_already_is_fine_unless_its_password_is_another() -> None:
    account = demo.DemoUser("a@example.com", "user", "secret-word")
    demo.sign_up(auth(201), account)
    demo.sign_up(auth(409, 200), account)
    with pytest.raises(demo.DemoError, match=r"another password: run `make dev ARGS=--fresh`") as refusal:
        demo.sign_up(auth(409, 401), account)
    assert "secret-word" not in str(refusal.value)
    with pytest.raises(demo.DemoError, match=r"refused to sign a@example.com up \(422\)"):
        demo.sign_up(auth(422), account)


def test_a_wrong_call_and_a_missing_setting_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main([], {}) == 2
    assert "usage: python -m app.demo ADDRESS FOLDER" in capsys.readouterr().err
    assert demo.main(["http://127.0.0.1:1", str(tmp_path)], {}) == 1
    assert "DATABASE_URL is not set" in capsys.readouterr().err
