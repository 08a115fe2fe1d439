"""Read YAML files by the rules of YAML 1.2, as Pulumi does."""

import re
from pathlib import Path
from typing import Any

import yaml

from infra.lib.errors import InputError


class YamlError(InputError):
    """A file is no YAML mapping; the message is one sentence with the place and the remedy."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values of a file, none for an empty one. Raises YamlError, or FileNotFoundError."""
    try:
        # A loader of our own, and a safe one: it knows no tags but YAML's.
        document = yaml.load(path.read_text("utf-8"), _EngineLoader)  # noqa: S506
    except FileNotFoundError:
        raise
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
    raise YamlError(problem)


class _EngineLoader(yaml.SafeLoader):
    """Read YAML as Pulumi does, not as PyYAML: `yes` and `1:30` are text, and a key may be given once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice} is given twice", node.start_mark)
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
