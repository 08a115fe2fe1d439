"""Which language model the environment chooses."""

import logging
import subprocess
import sys

import pytest

from app.chat.fake import FakeChat
from app.chat.openai_chat import OpenAIChat
from app.chat.settings import chat_model
from app.common.environment import SettingError

OPENAI = {"OPENAI_API_KEY": "sk-test", "OPENAI_MODEL": "gpt-fake"}


def test_openai_is_the_model_unless_something_else_is_said() -> None:
    assert isinstance(chat_model(OPENAI), OpenAIChat)
    assert isinstance(chat_model(OPENAI | {"CHAT_MODEL": "openai"}), OpenAIChat)


def test_the_fake_is_chosen_by_name_only_and_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert isinstance(chat_model({"CHAT_MODEL": "fake"}), FakeChat)
    assert "no language model is asked" in caplog.text


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "OPENAI_API_KEY is not set"),
        ({"OPENAI_API_KEY": "dummy"}, "OPENAI_MODEL is not set"),
        (OPENAI | {"CHAT_MODEL": "llama"}, "CHAT_MODEL is 'llama': give it one of openai, fake"),
        (OPENAI | {"OPENAI_BASE_URL": "ftp://here"}, "OPENAI_BASE_URL begins with 'ftp'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        chat_model(environment)


def test_the_fake_does_not_import_openai() -> None:
    code = "import sys, app.chat.settings as s; s.chat_model({'CHAT_MODEL': 'fake'}); print('openai' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
