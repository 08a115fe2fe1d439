"""Declare settings: models of groups, in which each setting has its legal values in words.

The words are used twice: in the table of settings, and in the error message for a wrong value.
"""

import collections.abc
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Legal:
    """The legal values of a setting, in words that complete "it must be ..."; metadata of its type."""

    text: str
    hide: bool = False
    """Whether messages hide the value: for settings in which a secret is easily pasted by mistake."""


def wrong(right: str, *, key: str = "", value: object = None) -> PydanticCustomError:
    """Return a validator's error: `right` completes "it must be ...".

    `key` names the wrong part relative to the validated value (".memoryMib", or "" for all of it); `value` is that
    part.
    """
    context: dict[str, Any] = {"right": right}
    if key:
        context |= {"key": key, "value": value}
    return PydanticCustomError("wrong", "is wrong", context)


class Group(BaseModel):
    """A group of settings: frozen, strict (no text for a number, no number for a truth), nothing unknown.

    In YAML its keys are in camelCase; in Python its attributes are in snake_case.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    def wrong(self, attribute: str, right: str) -> PydanticCustomError:
        """Return the error of a validator of the whole group, for one of its attributes."""
        value = getattr(self, attribute)
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json", exclude_unset=True)
        return wrong(right, key=f".{key_of(type(self), attribute)}", value=value)


def named(defaults: Mapping[str, object]) -> BeforeValidator:
    """Return a validator for a setting that maps fixed names to values.

    It refuses an unknown name, and gives a name that is left out its default.
    """

    def fill(given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        for name in given:
            if name not in defaults:
                context = {"name": name, "value": given[name], "known": tuple(defaults)}
                raise PydanticCustomError("unknown_name", "has an unknown name", context)
        return {**defaults, **given}

    return BeforeValidator(fill)


def key_of(model: type[BaseModel], attribute: str) -> str:
    """Return an attribute's key in the YAML."""
    return model.model_fields[attribute].alias or attribute


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a group, in the order of its attributes."""
    return tuple(key_of(model, attribute) for attribute in model.model_fields)


def group_of(annotation: object) -> type[BaseModel] | None:
    """Return the type if it is a group of settings, else None."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


class Place(NamedTuple):
    """A location in the models: its type, and the metadata of the type."""

    annotation: Any
    metadata: tuple[object, ...]


def place_at(model: type[BaseModel], location: Collection[int | str]) -> Place:
    """Return the place that pydantic's location names: keys, an item's number, `[key]` for a mapping's key."""
    place = mapping = Place(model, ())
    for part in location:
        group = group_of(place.annotation)
        if part == "[key]":
            # pydantic names the key first, which was taken for the way to its value.
            place = _unwrapped(typing.get_args(mapping.annotation)[0], ())
        elif group is not None:
            field = next(field for name, field in group.model_fields.items() if part in (name, field.alias))
            place = _unwrapped(field.annotation, tuple(field.metadata))
        elif typing.get_origin(place.annotation) is tuple:
            place = _unwrapped(typing.get_args(place.annotation)[0], ())
        else:
            mapping, place = place, _unwrapped(typing.get_args(place.annotation)[1], ())
    return place


def _unwrapped(annotation: Any, metadata: tuple[object, ...]) -> Place:
    """Return a type without its `| None` and its Annotated."""
    while True:
        arguments = typing.get_args(annotation)
        if typing.get_origin(annotation) in (types.UnionType, typing.Union):
            annotation = next(argument for argument in arguments if argument is not types.NoneType)
        elif typing.get_origin(annotation) is Annotated:
            annotation, metadata = arguments[0], (*metadata, *arguments[1:])
        else:
            return Place(annotation, metadata)


def legal_text(place: Place) -> str:
    """Return the legal values at a place, in words that complete "it must be ..."."""
    for item in place.metadata:
        if isinstance(item, Legal):
            return item.text
    if place.annotation is bool:
        return "true or false, without quotes"
    if typing.get_origin(place.annotation) is Literal:
        choices = typing.get_args(place.annotation)
        return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(choices[0])
    group = group_of(place.annotation)
    if group is not None:
        return f"a group of settings: {', '.join(keys_of(group))}"
    if place.annotation is str:
        return "text"
    if typing.get_origin(place.annotation) is collections.abc.Mapping:
        return "a group of entries by name"
    return f"a whole number from {_bound(place, 'ge')} to {_bound(place, 'le')}"


def _bound(place: Place, which: Literal["ge", "le"]) -> int:
    constraints = [part for item in place.metadata for part in (item, *getattr(item, "metadata", ()))]
    return next(int(getattr(constraint, which)) for constraint in constraints if hasattr(constraint, which))
