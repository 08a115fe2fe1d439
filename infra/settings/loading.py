"""Load a stack's settings, or report every problem: one sentence each, with the key, its value and what is allowed.

The values of secrets never appear, neither in messages nor in a `repr`.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra import ROOT
from infra.lib.messages import SettingsError, sentence, shown, unknown_key
from infra.lib.schema import group_of, key_of, legal_text, place_at
from infra.product import Product, product_of
from infra.settings import hosted, memory
from infra.settings.models import ANYWHERE, LETS_ENCRYPT, Settings, key_of_secret, settings_model
from infra.settings.patterns import NAME
from infra.settings.stack_file import project_name, read_values

# The project and the stack have names from elsewhere.
NOT_SET_BY_A_STACK = ("project", "stack")
UPSTREAM = "SLIPWAY_UPSTREAM"
"""Environment variable: a JSON object of images that stand in on this machine for those of product.yaml, by name.

The images of a stack's own `images.parents` come first.
"""


def load(
    project: str,
    stack: str,
    values: Mapping[str, str],
    root: Path = ROOT,
    secret_keys: Collection[str] = (),
    product: Product | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return a stack's settings from its configuration as Pulumi provides it.

    `values` maps each full key to its raw value: text for one setting, JSON for a group. Keys of other
    namespaces (`aws:region`) are left alone. `root` is the checkout, for folders that are relative to it.
    Values under `secret_keys` are never shown. `product` is this checkout's unless it is given. `environment` may have
    UPSTREAM. Raises SettingsError with every problem that there is, and ProductError for a wrong product.
    """
    model = settings_model(product or product_of())
    problems = [*_name_problems("project", project), *_name_problems("stack", stack)]
    if problems:
        raise SettingsError(problems)
    groups = _keys_of_a_stack(model)
    data: dict[str, Any] = {"registry": {}}
    for key in sorted(values):
        namespace, _, name = key.partition(":")
        raw, hidden = values[key], key in secret_keys
        if namespace != project:
            continue
        if name not in groups:
            problems.append(unknown_key(f"{project}:", name, _json_object(raw) or raw, groups, hidden=hidden))
        elif groups[name] is None:
            data[name] = raw
        elif (group := _json_object(raw)) is not None:
            data[name] = group
        else:
            state = "(a secret, not shown) is not right" if hidden else f"is {_shown_json(raw)}"
            problems.append(f"{key} {state}; it must be {legal_text(place_at(model, (name,)))}.")
    if (upstream := _upstream(environment or {})) and isinstance(images := data.setdefault("images", {}), dict):
        parents = images.get("parents", {})
        images["parents"] = {**upstream, **parents} if isinstance(parents, dict) else parents
    data["registry"] = {"owner": stack, "namespace": project, **data["registry"]}
    settings, errors = _validated(model, {**data, "project": project, "stack": stack})
    problems += [
        sentence(model, error, f"{project}:", stack=stack, hidden=f"{project}:{error['loc'][0]}" in secret_keys)
        for error in errors
    ]
    if settings is not None:
        problems += _base_version_problems(settings)
        problems += [*_folder_problems(settings, root), *_model_problems(settings, root)]
        problems += [*memory.problems(settings), *_external_problems(settings), *_domain_problems(settings)]
        problems += hosted.problems(settings)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def load_file(path: Path, stack: str, root: Path = ROOT, unset: Collection[str] = ()) -> Settings:
    """Return a stack's settings from its YAML file alone, for checks without Pulumi.

    Encrypted values (`secure:`) cannot be read without Pulumi, so they count as set and right; so do the secrets
    `unset`, which the checker need not have.
    """
    project = project_name(root / "Pulumi.yaml")
    values, encrypted = read_values(path, project)
    product = product_of(root)
    stand_ins = {f"{project}:{key_of_secret(name)}": one.stand_in for name, one in product.secrets.items()}
    return load(
        project,
        stack,
        values | {key: stand_ins[key] for key in (encrypted | set(unset)) & stand_ins.keys()},
        root,
        encrypted,
        product,
    )


def _validated(model: type[Settings], data: Mapping[str, object]) -> tuple[Settings | None, list[ErrorDetails]]:
    """Return the settings, or the errors in them: pydantic's own exception holds secrets, so it is not raised."""
    try:
        return model.model_validate(data, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _upstream(environment: Mapping[str, str]) -> dict[str, object]:
    """Return the images that UPSTREAM names. Raises SettingsError if it is no JSON object."""
    text = environment.get(UPSTREAM, "{}")
    found = _json_object(text)
    if found is None:
        raise SettingsError([f"{UPSTREAM} is {shown(text)}; it must be a JSON object of images by name, or not set."])
    return found


def _base_version_problems(settings: Settings) -> Iterator[str]:
    if settings.images.base_version is not None and settings.registry.address is not None:
        yield (
            f"{settings.project}:images.baseVersion is {shown(settings.images.base_version)}; it must be left out "
            "while registry.address names another registry than ECR, which alone can be asked for a version."
        )


def _external_problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each image from outside that the host runs without knowing which it is."""
    for name in dict.fromkeys(service.external for service in settings.services.values() if service.external):
        reference = settings.images.parents[name]
        if "@sha256:" not in reference:
            yield (
                f"{settings.project}:images.parents.{name} is {shown(reference)}; it must name a digest (@sha256: and "
                "64 hex digits), since the host runs it."
            )


def _domain_problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence if the domain cannot have a certificate."""
    host, networks = settings.host, settings.network.ingress_cidrs
    if host.domain is None:
        return
    if settings.product.edge is None:
        yield (
            f"{settings.project}:host.domain is {shown(host.domain)}; it must be left out, since no service in "
            "product.yaml is the edge, which gets the certificates."
        )
    if host.acme_directory == LETS_ENCRYPT and networks != (ANYWHERE,):
        yield (
            f"{settings.project}:network.ingressCidrs is {shown(list(networks))}; it must be {shown([ANYWHERE])} with "
            "host.domain, since Let's Encrypt checks the domain from anywhere; or set host.acmeDirectory to an ACME "
            "server in these networks."
        )


def _folder_problems(settings: Settings, root: Path) -> Iterator[str]:
    torch = settings.images.torch
    # A base that is pinned is not built, so it needs no torch.
    if settings.images.base_version is not None:
        return
    if settings.images.builds and torch.source_in(root) == "wheels" and not torch.wheel_files(root):
        yield (
            f"{settings.project}:images.torch.wheels is {shown(torch.wheels)}; it must be a folder with a "
            f"wheel of torch, but {(root / str(torch.wheels)).resolve()} has none: name another, or set "
            "images.torch.fallback."
        )


def _model_problems(settings: Settings, root: Path) -> Iterator[str]:
    for number, model in enumerate(settings.images.models):
        if settings.images.builds and model.source == "folder" and not (root / model.reference).is_dir():
            yield (
                f"{settings.project}:images.models[{number}].reference is {shown(model.reference)}; it must be a "
                f"folder with a model, but {(root / model.reference).resolve()} does not exist."
            )


def _name_problems(what: str, name: str) -> Iterator[str]:
    # SSM refuses parameters below /aws and /ssm, EC2 a security group called sg-...
    reserved = what == "project" and re.match("aws|ssm|sg-|sg$", name) is not None
    if reserved or len(name) > 20 or re.fullmatch(NAME, name) is None:
        more = ", not beginning with aws, ssm or sg-" if what == "project" else ""
        yield (
            f"The {what}'s name is {shown(name)}; it must be 1 to 20 characters: lower-case letters, digits "
            f"and single hyphens, a letter first{more}."
        )


def _keys_of_a_stack(model: type[Settings]) -> dict[str, type[BaseModel] | None]:
    """Return the keys that a stack may set: with the model of a group, or None for a single setting."""
    return {
        key_of(model, attribute): group_of(field.annotation)
        for attribute, field in model.model_fields.items()
        if attribute not in NOT_SET_BY_A_STACK
    }


def _shown_json(raw: str) -> str:
    """Return a value that is no group, as it is written in the YAML if that can be read."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return shown(raw) if raw else "empty"
    return "empty" if value is None else shown(value)


def _json_object(raw: str) -> dict[str, object] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
