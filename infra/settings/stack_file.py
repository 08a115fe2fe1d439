"""A stack's YAML file as the engine reads it, for checks without the engine."""

import json
from pathlib import Path

from infra.lib.messages import SettingsError, shown
from infra.lib.yaml_file import YamlError, read_mapping


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


def _read(path: Path) -> dict[str, object]:
    try:
        return read_mapping(path)
    except FileNotFoundError:
        problem = f"{path} is not there: `pulumi stack init` makes one, or copy another stack's."
    except YamlError as error:
        problem = str(error)
    raise SettingsError([problem])


def _is_encrypted(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}


def _without_encrypted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_encrypted(item) for key, item in value.items() if not _is_encrypted(item)}
    if isinstance(value, list):
        return [_without_encrypted(item) for item in value if not _is_encrypted(item)]
    return value
