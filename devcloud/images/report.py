"""`make report`: an image explained, in Markdown: its layers, what made them, and what a change would rebuild."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devcloud.images.dockerfile_graph import MAKES_A_LAYER, WORKS, Build, Step
from devcloud.images.registry import RegistryReader, Size
from devcloud.util.console import UserError
from infra.builds.plan import BuildPlan
from infra.outputs import StackOutputs

MB = 1_000_000
LONGEST_TEXT = 100
LONGEST_VALUE = 40
FEW = 3
NOISE = re.compile(r"^/bin/sh -c #\(nop\)\s*|\s*# buildkit$|(?<=^RUN )\|\d+ .*?(?=/bin/sh -c )|(?<=^RUN )/bin/sh -c ")
"""What builders add to an instruction when they write it into an image's history."""


@dataclass(frozen=True)
class Layer:
    """One layer of an image."""

    number: int
    """From 1, the lowest."""
    digest: str
    size: Size
    made_by: str
    """The instruction, as the image's history has it."""


@dataclass(frozen=True)
class Image:
    """An image as the registry has it."""

    name: str
    reference: str
    """`repository@digest`."""
    content_tag: str
    budget_mb: int
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


def fetch(registry: RegistryReader, name: str, outputs: StackOutputs) -> Image:
    """An image of a stack, by the digest in the stack's outputs."""
    reference: str = outputs.images[name]
    repository, _, digest = reference.partition("/")[2].partition("@")
    manifest = registry.image(repository, digest)
    config = registry.config(repository, manifest)
    sizes = [registry.layer_size(repository, layer) for layer in manifest["layers"]]
    return Image(
        name=name,
        reference=reference,
        content_tag=outputs.content_tags[name],
        budget_mb=outputs.size_budgets_mb[name],
        layers=layers_of(manifest, config, sizes),
        config=config,
    )


def layers_of(manifest: Mapping[str, Any], config: Mapping[str, Any], sizes: Sequence[Size]) -> tuple[Layer, ...]:
    """The layers of a manifest, each with the instruction that made it. Raise UserError if the two do not agree."""
    made = [_plain(entry.get("created_by", "")) for entry in config["history"] if not entry.get("empty_layer")]
    if len(made) != len(manifest["layers"]):
        raise UserError(
            f"The image has {len(manifest['layers'])} layers and its history tells of {len(made)}: "
            "it was changed by a tool that keeps no history, and cannot be explained."
        )
    return tuple(
        Layer(number, layer["digest"], size, text)
        for number, (layer, size, text) in enumerate(zip(manifest["layers"], sizes, made, strict=True), start=1)
    )


def _plain(created_by: str) -> str:
    while (shorter := NOISE.sub("", created_by.strip())) != created_by:
        created_by = shorter
    return " ".join(created_by.split())


def own_layers(layers: Sequence[Layer], build: Build) -> dict[int, Step]:
    """The step that made each layer of the image's own, by the layer's number; the rest are its parent's."""
    steps = [step for step in build.last_stage if step.keyword in MAKES_A_LAYER]
    own: dict[int, Step] = {}
    for layer in reversed(layers):
        # A WORKDIR that was there already made no layer.
        while steps and steps[-1].keyword == "WORKDIR" and not layer.made_by.startswith("WORKDIR"):
            steps.pop()
        if not steps or not layer.made_by.startswith(steps[-1].keyword):
            break
        own[layer.number] = steps.pop()
    return own


def render(image: Image, build: Build, plan: BuildPlan | None) -> str:
    """The report of one image. Without a plan (a stack that builds nothing) it says nothing of changes to files."""
    own = own_layers(image.layers, build)
    lines = [f"# {image.name}", "", *_summary(image), "", "## Layers", "", *_layer_table(image, own)]
    if plan is not None:
        lines += ["", "## What a change rebuilds", "", *_change_table(image, build, plan, own)]
    return "\n".join(lines) + "\n"


def _summary(image: Image) -> Iterator[str]:
    settings = image.config.get("config", {})
    size = Size.total([layer.size for layer in image.layers])
    unpacked = "" if size.unpacked is None else f"{_size(size.unpacked)} of {image.budget_mb} MB, "
    command = " ".join([*(settings.get("Entrypoint") or []), *(settings.get("Cmd") or [])])
    yield f"- image: `{image.reference}`"
    yield f"- content tag: `{image.content_tag}`"
    yield f"- size: {unpacked}{_size(size.compressed)} compressed, {len(image.layers)} layers"
    yield f"- runs: `{command}` as user `{settings.get('User') or 'root'}`"


def _layer_table(image: Image, own: Mapping[int, Step]) -> Iterator[str]:
    yield from _table(
        ("layer", "unpacked", "compressed", "made by", "digest"),
        (
            (
                str(layer.number),
                "" if layer.size.unpacked is None else _size(layer.size.unpacked),
                _size(layer.size.compressed),
                _made_by(layer, own.get(layer.number), image.name),
                f"`{layer.digest.removeprefix('sha256:')[:12]}`",
            )
            for layer in image.layers
        ),
        right=(0, 1, 2),
    )


def _made_by(layer: Layer, step: Step | None, image: str) -> str:
    if step is None:
        return f"parent: {_code(layer.made_by)}" if layer.made_by else "parent"
    return f"{_code(step.text)} (images/{image}/Dockerfile, line {step.line})"


def _change_table(image: Image, build: Build, plan: BuildPlan, own: Mapping[int, Step]) -> Iterator[str]:
    sizes = {file.path: file.size for file in plan.files}
    rows: list[tuple[str, str, str, str]] = []
    groups = build.groups([*sizes])
    for readers, files in sorted(groups.items(), key=lambda item: item[1]):
        if readers:
            held = f"{len(files)} files, " if len(files) > 1 else ""
            total = _size(sum(sizes[file] for file in files))
            rows.append((_named(files), f"{held}{total}", *_consequence(image, build, readers, own)))
    for argument, value in build.arguments.items():
        users = build.users(argument)
        shown = _code(value, LONGEST_VALUE) if value else "empty"
        rows.append((f"argument {_code(argument)}", shown, *_consequence(image, build, users, own)))
    yield from _table(("a change to", "which is now", "runs again", "new layers, compressed"), rows)
    yield ""
    yield "What stands above a new layer is put on it as it was, and pushed to nobody: files carry fixed times."
    yield "A change of the Dockerfile runs again what it changed, and all that needs it."
    unread = [file for file in groups.get((), []) if file != plan.dockerfile]
    if unread:
        yield f"No step reads {', '.join(map(_code, unread))}: a change there is a new tag of the same image."


def _consequence(image: Image, build: Build, changed: Sequence[Step], own: Mapping[int, Step]) -> tuple[str, str]:
    """The steps that run again, counted by stage; and the new layers that come of it."""
    again, made = build.again(changed), build.made_of(changed)
    last = build.steps[-1].stage
    counts: dict[str, int] = {}
    for step in again:
        if step.keyword in WORKS and step.stage != last:
            counts[step.stage] = counts.get(step.stage, 0) + 1
    parent = any(step.keyword == "FROM" and step.stage == last for step in again)
    new = [layer for layer in image.layers if own.get(layer.number) in made or (parent and layer.number not in own)]
    chosen = [f"another stage for {step.stage}" for step in changed if step.chooses]
    stages = [f"{stage} ({count} step{'s' if count > 1 else ''})" for stage, count in counts.items()]
    runs = ", ".join(chosen + stages) or "nothing"
    numbers = ", ".join(str(layer.number) for layer in new)
    return runs, f"{numbers}: {_size(Size.total([layer.size for layer in new]).compressed)}" if new else "none"


def _named(files: Sequence[str]) -> str:
    """A group of files: by their names where they are few, else by the folder that holds them all."""
    if len(files) <= FEW:
        return ", ".join(map(_code, files))
    folder = os.path.commonpath(files)
    return _code(f"{folder}/" if folder else "files in several folders")


def _size(size: int) -> str:
    """Bytes as a person reads them, in the units of Docker: 1 kB is 1,000."""
    for unit, factor in (("MB", MB), ("kB", 1000)):
        if size >= factor:
            value = size / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} B"


def _code(text: str, longest: int = LONGEST_TEXT) -> str:
    short = text if len(text) <= longest else f"{text[:longest]}..."
    # A bar would end a table's cell, wherever it stands.
    return f"`{short}`".replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """A Markdown table that is aligned in a terminal too; columns in `right` hold numbers."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    yield line(head)
    yield f"|{'|'.join('-' * (width + 1) + (':' if column in right else '-') for column, width in enumerate(widths))}|"
    yield from map(line, cells[1:])
