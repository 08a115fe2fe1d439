"""Report what is wrong with checked data: one sentence a problem, with the key, its value and what is allowed."""

import difflib
import json
import re
from collections.abc import Collection

from pydantic import BaseModel, SecretStr
from pydantic_core import ErrorDetails

from infra.lib.errors import InputError
from infra.lib.schema import Legal, keys_of, legal_text, place_at

LONGEST_SHOWN = 80
"""Characters of a value that a message shows whole; of a longer one it shows the beginning."""
LONGEST_OF_AWS = 1000
"""Characters of AWS's own sentences: one about a permission names user, action and resource in over 200."""


class SettingsError(InputError):
    """A stack's settings are wrong; the message is one sentence a problem, each on a line of its own."""

    def __init__(self, problems: Collection[str]) -> None:
        """Keep the sentences in `problems`, in order."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def key_at(prefix: str, location: Collection[int | str]) -> str:
    """Return a location as it is written in the YAML, after `prefix`: `slipway:images.models[0].name`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in location if part != "[key]"]
    return f"{prefix}{''.join(parts).removeprefix('.')}"


def sentence(model: type[BaseModel], error: ErrorDetails, prefix: str, *, stack: str = "", hidden: bool = False) -> str:
    """Return one of pydantic's errors about `model` as a sentence that begins with `prefix` and the key.

    `hidden` keeps the value out of it, as for every secret; `stack` is in the command that sets a missing secret.
    """
    location, kind, context, value = error["loc"], error["type"], error.get("ctx", {}), error["input"]
    if kind == "unknown_name":
        parent = f"{key_at(prefix, location)}."
        return unknown_key(parent, str(context["name"]), context["value"], context["known"], hidden=hidden)
    if kind == "extra_forbidden":
        parent = f"{key_at(prefix, location[:-1])}."
        known = keys_of(place_at(model, location[:-1]).annotation)
        return unknown_key(parent, str(location[-1]), value, known, hidden=hidden)
    place = place_at(model, location)
    key = key_at(prefix, location) + context.get("key", "")
    right = context.get("right") or legal_text(place)
    secret = place.annotation is SecretStr
    if kind == "missing":
        how = f"set it with `pulumi config set --secret {key} --stack {stack}`: " if secret else ""
        return f"{key} is not set; {how}it must be {right}."
    if hidden or secret or any(isinstance(item, Legal) and item.hide for item in place.metadata):
        state = "is empty" if value == "" else "(a secret, not shown) is not right"
        return f"{key} {state}; it must be {right}."
    value = context.get("value", value)
    return f"{key} is {'not set' if value is None else shown(value)}; it must be {right}."


def unknown_key(parent: str, name: str, value: object, known: Collection[str], *, hidden: bool) -> str:
    """The sentence for the unknown key `name` below `parent`, which ends in `:` or `.`."""
    state = "(not shown: it may be a secret)" if hidden or _may_be_secret(name) else f"is {shown(value)}"
    close = difflib.get_close_matches(name, known, 1)
    remedy = f"did you mean {parent}{close[0]}?" if close else f"there are {', '.join(known)}."
    return f"{parent}{plain(name)} {state}, but there is no such setting; {remedy}"


def _may_be_secret(name: str) -> bool:
    return re.search("key|secret|token|password|url|dsn|credential", name, re.IGNORECASE) is not None


def shown(value: object) -> str:
    """A value as a message shows it: as JSON, short, on one line, and without the password of an address."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "something nested too deeply"
    return plain(re.sub(r"://[^/@\s]*@", "://...@", text))


def printable(text: str) -> str:
    """Return a text for a terminal: lines and tabs as they are, and every other character that it could obey escaped.

    That is, control characters, and characters that reverse the direction of text. Nothing is cut.
    """
    return text if text.isprintable() else _escaped(text, kept="\n\t")


def plain(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Return a text on one line, cut if it is long, with every character escaped that a terminal could obey."""
    safe = _escaped(text[:longest])
    return safe if len(text) <= longest else f"{safe}... ({len(text):,} characters)"


def of_aws(error: object) -> str:
    """Return AWS's words about an error on one line; a provider breaks them into several."""
    return plain(" ".join(str(error).split()), LONGEST_OF_AWS)


def _escaped(text: str, kept: str = "") -> str:
    return "".join(
        character if character.isprintable() or character in kept else character.encode("unicode_escape").decode()
        for character in text
    )
