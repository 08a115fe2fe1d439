"""The page of all settings, docs/settings.md, made from the models that check them."""

import json
import typing
from collections.abc import Collection, Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra import ROOT
from infra.lib.messages import key_at
from infra.lib.schema import group_of, key_of, legal_text, place_at
from infra.product import product_of
from infra.settings.loading import NOT_SET_BY_A_STACK
from infra.settings.models import settings_model
from infra.settings.stack_file import project_name


def table(model: type[BaseModel], project: str, without: Collection[str]) -> str:
    """A Markdown table with one line a setting; `without` are attributes of `model` that are no settings."""
    lines = ["| key | what it is | it must be | default |", "|---|---|---|---|"]
    for row in _rows(model, model, (), project, without):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def _rows(
    root: type[BaseModel],
    model: type[BaseModel],
    location: tuple[int | str, ...],
    project: str,
    without: Collection[str],
) -> Iterator[tuple[str, str, str, str]]:
    for attribute, field in model.model_fields.items():
        if attribute in without:
            continue
        here = (*location, key_of(model, attribute))
        place = place_at(root, here)
        group = group_of(place.annotation)
        if group is not None:
            yield from _rows(root, group, here, project, ())
            continue
        key = key_at(f"{project}:", here).replace("[0]", "[]")
        yield f"`{key}`", field.description or "", legal_text(place), _default(field)
        if typing.get_origin(place.annotation) is tuple:
            item = group_of(place_at(root, (*here, 0)).annotation)
            if item is not None:
                yield from _rows(root, item, (*here, 0), project, ())


def _default(field: FieldInfo) -> str:
    # A default that depends on the stack stands in words beside the field.
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["default"])
    if field.is_required():
        return "**required**"
    value = field.get_default()
    if value is None:
        return "none"
    if isinstance(value, tuple):
        value = [_plain_data(item) for item in value]
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _plain_data(item: object) -> object:
    return item.model_dump(by_alias=True, exclude_defaults=True) if isinstance(item, BaseModel) else item


def document() -> str:
    """Return the page of all settings: docs/settings.md."""
    project = project_name(ROOT / "Pulumi.yaml")
    return f"""# Settings

Everything that a stack may set, in its `Pulumi.<stack>.yaml`. Made from `infra/settings/models.py` and
`product.yaml` by `make generate`: do not edit it here. A group is a mapping: `{project}:worker: {{memoryMib: 3072}}`.

{table(settings_model(product_of()), project, NOT_SET_BY_A_STACK)}"""
