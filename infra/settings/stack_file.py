"""Read a stack's YAML file as Pulumi does, for checks without Pulumi."""

import json
from pathlib import Path

from infra.lib.messages import SettingsError, shown
from infra.lib.yaml_file import YamlError, read_mapping


def project_name(path: Path) -> str:
    """Return the project's name in its Pulumi.yaml. Raises SettingsError if there is none."""
    name = _read(path).get("name")
    if not isinstance(name, str):
        raise SettingsError([f"{path} has {shown(name)} for the name; it must be the project's, such as slipway."])
    return name


def read_values(path: Path, project: str) -> tuple[dict[str, str], frozenset[str]]:
    """Return the values that Pulumi would give to the program, and the keys of encrypted values (`secure:`).

    Only Pulumi can read an encrypted value: its key is only in the second result, and a group is returned without its
    encrypted entries. Raises SettingsError for a file that cannot be read.
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
