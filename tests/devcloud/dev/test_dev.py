"""`make dev`: what its parts are given, and what it refuses in a sentence."""

import json
import os
import stat
import sys
from pathlib import Path

import httpx
import pytest

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.dev import dev
from devcloud.util.console import UserError
from devcloud.util.locks import only_one


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud("make-dev", tmp_path)


def test_a_dummy_key_means_the_named_fake_and_a_real_one_the_real_model(cloud: Cloud) -> None:
    assert dev.environment(cloud, {})["CHAT_MODEL"] == "fake"
    real = dev.environment(cloud, {"OPENAI_API_KEY": "sk-something"})
    assert real["CHAT_MODEL"] == "openai"
    assert real["OPENAI_API_KEY"] == "sk-something"
    assert dev.environment(cloud, {"OPENAI_API_KEY": "sk-x", "CHAT_MODEL": "fake"})["CHAT_MODEL"] == "fake"


def test_everything_that_the_parts_reach_is_on_loopback(cloud: Cloud) -> None:
    given = dev.environment(cloud, {})
    for name in ("DATABASE_URL", "REDIS_URL", "JOBS_QUEUE_URL", "AWS_ENDPOINT_URL"):
        host = given[name].partition("://")[2].rpartition("@")[2].partition(":")[0]
        assert host.startswith("127."), name
    assert given["HOST"] == "127.0.0.1"


def test_a_part_starts_anew_when_the_code_that_it_imports_changes() -> None:
    command = dev.reloading(["python", "-m", "app"], ("api", "common", "not-there"))
    watched = [str(ROOT / "app/api"), str(ROOT / "app/common")]
    assert command == [sys.executable, "-m", "devcloud.dev.reload", *watched, "--", "python", "-m", "app"]


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    again = pytest.raises(UserError, match="`make dev` runs on this machine already")
    with only_one(lock, "make dev"), again, only_one(lock, "make dev"):
        pass
    with only_one(lock, "make dev"):
        pass


@pytest.mark.parametrize(("version", "fits"), [("v20.19.0", True), ("v22.1.0", True), ("v18.20.4", False)])
def test_an_old_node_is_refused_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    if fits:
        dev.check_node()
    else:
        with pytest.raises(UserError, match=r"Node is v18.20.4 here.*need 20.19 or newer"):
            dev.check_node()


def test_a_machine_without_node_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"node and npm is not on this machine: install Node 20.19"):
        dev.check_node()


def test_accounts_are_made_once_with_passwords_by_chance_that_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    first = dev.read_accounts(file)
    assert dev.read_accounts(file) == first
    assert [account.role for account in first] == ["operator", "user"]
    assert len({account.password for account in first}) == 2
    assert all(len(account.password) >= 12 for account in first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def auth(sign_up: int, sign_in: int = 200) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content).keys() == {"email", "password"}
        return httpx.Response(sign_up if request.url.path == "/sign-up" else sign_in)

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://auth")


def test_an_account_that_is_there_already_is_fine_unless_its_password_is_another() -> None:
    account = dev.DemoUser("a@example.com", "user", "secret-word")
    dev.signs_up(auth(201), account)
    dev.signs_up(auth(409, 200), account)
    with pytest.raises(UserError, match=r"another password: run `make dev ARGS=--fresh`") as refusal:
        dev.signs_up(auth(409, 401), account)
    assert "secret-word" not in str(refusal.value)
    with pytest.raises(UserError, match=r"refused to sign a@example.com up \(422\)"):
        dev.signs_up(auth(422), account)


def test_a_checkout_without_the_front_end_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"package-lock.json is missing: the front end is not in this checkout"):
        dev.install_web(tmp_path)
