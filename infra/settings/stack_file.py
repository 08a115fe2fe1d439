"""A stack's YAML file as the engine reads it, for checks without the engine."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from infra.settings.messages import SettingsError, shown


def project_name(path: Path) -> str:
    """The project's name in its Pulumi.yaml; raises SettingsError where there is none."""
    name = _read(path).get("name")
    if not isinstance(name, str):
        raise SettingsError([f"{path} has {shown(name)} for the name; it must be the project's, such as slipway."])
    return name


def read_values(path: Path, project: str) -> tuple[dict[str, str], frozenset[str]]:
    """What the engine would hand to the program, and the keys whose values are encrypted (`secure:`).

    An encrypted value can be read by the engine only: its key is in the second and not in the first, and what
    is encrypted inside a group is left out of the group. Raises SettingsError for a file that cannot be read.
    """
    config = _read(path).get("config") or {}
    if not isinstance(config, dict):
        raise SettingsError([f'{path} has {shown(config)} for "config"; it must be a group of settings.'])
    values: dict[str, str] = {}
    encrypted: set[str] = set()
    for key, value in config.items():
        full = str(key) if ":" in str(key) else f"{project}:{key}"
        if _is_encrypted(value):
            encrypted.add(full)
        else:
            clear = _without_encrypted(value)
            values[full] = clear if isinstance(clear, str) else json.dumps(clear)
    return values, frozenset(encrypted)


class _EngineLoader(yaml.SafeLoader):
    """YAML as the engine reads it, not as PyYAML does: `yes` and `1:30` are text, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_EngineLoader.yaml_implicit_resolvers = {}
for _type, _pattern, _beginnings in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", FLOAT, list("-+.0123456789")),
):
    _EngineLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", re.compile(f"^(?:{_pattern})$"), _beginnings)


def _read(path: Path) -> dict[str, Any]:
    try:
        # A loader of our own, and a safe one: it knows no tags but YAML's.
        document = yaml.load(path.read_text("utf-8"), _EngineLoader)  # noqa: S506
    except FileNotFoundError:
        problem = f"{path} is not there: `pulumi stack init` makes one, or copy another stack's."
    except (OSError, UnicodeDecodeError):
        problem = f"{path} cannot be read: it must be a file of UTF-8 text."
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1}: {getattr(error, 'problem', None)})" if mark is not None else ""
        problem = f"{path} is not YAML{line}: correct it, or restore it from git."
    else:
        if document is None:
            return {}
        if isinstance(document, dict):
            return document
        problem = f"{path} has no keys: it must be a YAML file of keys and values."
    raise SettingsError([problem])


def _is_encrypted(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}


def _without_encrypted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_encrypted(item) for key, item in value.items() if not _is_encrypted(item)}
    if isinstance(value, list):
        return [_without_encrypted(item) for item in value if not _is_encrypted(item)]
    return value
