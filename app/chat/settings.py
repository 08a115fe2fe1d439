"""Which language model answers, from the environment."""

from collections.abc import Mapping

from app.chat.model import ChatModel
from app.common.environment import SettingError, address, required

MODELS = ("openai", "fake")


def chat_model(environment: Mapping[str, str]) -> ChatModel:
    """The model that CHAT_MODEL names (`openai` where it is not set, or `fake`), or a SettingError.

    Nothing is asked of OpenAI here: a service starts with it away.
    """
    chosen = environment.get("CHAT_MODEL", "").strip() or "openai"
    if chosen not in MODELS:
        raise SettingError(f"CHAT_MODEL is {chosen!r}: give it one of {', '.join(MODELS)}, or leave it out for openai.")
    if chosen == "fake":
        from app.chat.fake import FakeChat

        return FakeChat()
    api_key = required("OPENAI_API_KEY", "a key of OpenAI's (or set CHAT_MODEL=fake)", environment)
    model = required("OPENAI_MODEL", "the name of a model of OpenAI's", environment)
    base_url = None
    if environment.get("OPENAI_BASE_URL", "").strip():
        base_url = address("OPENAI_BASE_URL", ("https", "http"), "https://api.openai.com/v1", environment)
    # 50 MB of memory and a second of start, for those who use it.
    from app.chat.openai_chat import OpenAIChat

    return OpenAIChat(api_key, model, base_url)
