"""`make report`: explain an image in Markdown: its layers, what made them, and what a change would rebuild."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devcloud.images.dockerfile_graph import MAKES_A_LAYER, Build, Step
from devcloud.images.registry import RegistryReader, Size
from devcloud.util.console import UserError
from infra.builds.plan import BuildPlan
from infra.outputs import StackOutputs

MB = 1_000_000
LONGEST_TEXT = 100
LONGEST_VALUE = 40
FEW = 3
WORKS = ("ADD", "COPY", "RUN")
"""The instructions that take time."""
NOISE = re.compile(r"^/bin/sh -c #\(nop\)\s*|\s*# buildkit$|(?<=^RUN )\|\d+ .*?(?=/bin/sh -c )|(?<=^RUN )/bin/sh -c ")
"""Text that builders add to an instruction when they write it into an image's history."""


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
    """Return an image of a stack, by the digest in the stack's outputs."""
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
    """Return the layers of a manifest, each with the instruction that made it.

    Raise UserError if the image's history does not describe them.
    """
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
    """Return the step that made each of the image's own layers, by the layer's number. The rest are its parent's."""
    steps = [step for step in build.last_stage if step.keyword in MAKES_A_LAYER]
    own: dict[int, Step] = {}
    for layer in reversed(layers):
        # A WORKDIR that existed before made no layer.
        while steps and steps[-1].keyword == "WORKDIR" and not layer.made_by.startswith("WORKDIR"):
            steps.pop()
        if not steps or not layer.made_by.startswith(steps[-1].keyword):
            break
        own[layer.number] = steps.pop()
    return own


def render(image: Image, build: Build, plan: BuildPlan | None) -> str:
    """Return the report of one image. Without a plan (a stack that builds nothing) it leaves out changes."""
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
    def made_by(layer: Layer) -> str:
        if step := own.get(layer.number):
            return f"{_code(step.text)} (images/{image.name}/Dockerfile, line {step.line})"
        return f"parent: {_code(layer.made_by)}" if layer.made_by else "parent"

    rows = [
        (
            str(layer.number),
            "" if layer.size.unpacked is None else _size(layer.size.unpacked),
            _size(layer.size.compressed),
            made_by(layer),
            f"`{layer.digest.removeprefix('sha256:')[:12]}`",
        )
        for layer in image.layers
    ]
    return _table(("layer", "unpacked", "compressed", "made by", "digest"), rows, right=(0, 1, 2))


def _change_table(image: Image, build: Build, plan: BuildPlan, own: Mapping[int, Step]) -> Iterator[str]:
    sizes = {file.path: file.size for file in plan.files}
    groups = build.groups(sizes)
    unread = [file for file in groups.pop((), []) if file != plan.dockerfile]
    rows = []
    for readers, files in sorted(groups.items(), key=lambda item: item[1]):
        held = f"{len(files)} files, " if len(files) > 1 else ""
        total = _size(sum(sizes[file] for file in files))
        rows.append((_named(files), f"{held}{total}", *_consequence(image, build, readers, own)))
    for argument, value in build.arguments.items():
        shown = _code(value, LONGEST_VALUE) if value else "empty"
        rows.append((f"argument {_code(argument)}", shown, *_consequence(image, build, build.users(argument), own)))
    yield from _table(("a change to", "which is now", "runs again", "new layers, compressed"), rows)
    yield ""
    yield "What stands above a new layer is put on it as it was, and pushed to nobody: files carry fixed times."
    yield "A change of the Dockerfile runs again what it changed, and all that needs it."
    if unread:
        yield f"No step reads {', '.join(map(_code, unread))}: a change there is a new tag of the same image."


def _consequence(image: Image, build: Build, changed: Sequence[Step], own: Mapping[int, Step]) -> tuple[str, str]:
    """Return the steps that run again, counted by stage, and the new layers that result."""
    again, made = build.again(changed), build.made_of(changed)
    last = build.last_stage[0]
    counts = Counter(step.stage for step in again if step.keyword in WORKS and step.stage != last.stage)
    chosen = [f"another stage for {step.stage}" for step in changed if step.chooses]
    stages = [f"{stage} ({count} step{'s' if count > 1 else ''})" for stage, count in counts.items()]
    # Layers that are not the image's own come from its FROM, the first step of the last stage.
    new = [layer for layer in image.layers if (own[layer.number] in made if layer.number in own else last in again)]
    numbers = ", ".join(str(layer.number) for layer in new)
    pushed = f"{numbers}: {_size(sum(layer.size.compressed for layer in new))}" if new else "none"
    return ", ".join(chosen + stages) or "nothing", pushed


def _named(files: Sequence[str]) -> str:
    """Return a name for a group of files: their own names if they are few, else the folder that holds them all."""
    if len(files) <= FEW:
        return ", ".join(map(_code, files))
    folder = os.path.commonpath(files)
    return _code(f"{folder}/" if folder else "files in several folders")


def _size(size: int) -> str:
    """Format bytes in Docker's units: 1 kB is 1,000."""
    for unit, factor in (("MB", MB), ("kB", 1000)):
        if size >= factor:
            value = size / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} B"


def _code(text: str, longest: int = LONGEST_TEXT) -> str:
    short = text if len(text) <= longest else f"{text[:longest]}..."
    # A bar would end a table's cell, even in code.
    return f"`{short}`".replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Yield a Markdown table that is aligned in a terminal too; columns in `right` hold numbers."""
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [f"{'>' if column in right else '<'}{width}" for column, width in enumerate(widths)]
    head_line, *lines = (f"| {' | '.join(map(format, row, aligned))} |" for row in cells)
    yield head_line
    yield f"|{'|'.join('-' * (width + 1) + (':' if column in right else '-') for column, width in enumerate(widths))}|"
    yield from lines
