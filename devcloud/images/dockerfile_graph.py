"""Read a Dockerfile as a graph of steps, to say what a change rebuilds.

BuildKit repeats a step if the step before it, a stage that it copies from, a file that it reads or a build argument
that it knows has changed. The instructions are read by BuildKit's own parser. BuildKit's own graph
(`frontend.convertllb`) would need a running daemon and the parent images, and has no build arguments any more:
tests/cloud/test_dockerfile_graph.py compares the two.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dockerfile

from devcloud.util.console import UserError

MAKES_A_LAYER = ("ADD", "COPY", "RUN", "WORKDIR")
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
WHOLE_CONTEXT = ""
"""The path that stands for every file of the context."""


@dataclass(frozen=True)
class Step:
    """One instruction of a stage."""

    number: int
    """Its place among the steps of the Dockerfile."""
    stage: str
    keyword: str
    text: str
    """The instruction, on one line."""
    line: int
    """The line of the Dockerfile where it begins, from 1."""
    below: int | None
    """The step before it in its stage; for FROM, the last step of the parent stage."""
    others: tuple[int, ...] = ()
    """The last steps of the stages that it copies from or mounts."""
    arguments: frozenset[str] = frozenset()
    """The build arguments that its result depends on."""
    reads: tuple[str, ...] = ()
    """The files, folders or patterns of the context that it reads."""

    @property
    def after(self) -> tuple[int, ...]:
        """Return the steps that it needs."""
        return self.others if self.below is None else (self.below, *self.others)

    @property
    def chooses(self) -> bool:
        """Return whether it is a FROM whose parent is a stage: an argument in it chooses among stages."""
        return self.keyword == "FROM" and self.below is not None


@dataclass(frozen=True)
class Build:
    """The steps that one stage needs, in the order of the Dockerfile."""

    steps: tuple[Step, ...]
    arguments: Mapping[str, str]
    """The build arguments that any of them depends on, and their values."""

    @property
    def last_stage(self) -> tuple[Step, ...]:
        """Return the steps whose layers are the image's own."""
        return tuple(step for step in self.steps if step.stage == self.steps[-1].stage)

    def readers(self, path: str) -> tuple[Step, ...]:
        """Return the steps that read a file of the context."""
        return tuple(step for step in self.steps if any(_covers(source, path) for source in step.reads))

    def users(self, argument: str) -> tuple[Step, ...]:
        """Return the steps whose result depends on a build argument."""
        return tuple(step for step in self.steps if argument in step.arguments)

    def again(self, changed: Iterable[Step]) -> tuple[Step, ...]:
        """Return the steps that run again: those that changed, and all that need them."""
        again = {step.number for step in changed}
        for step in self.steps:
            if again.intersection(step.after):
                again.add(step.number)
        return tuple(step for step in self.steps if step.number in again)

    def made_of(self, changed: Iterable[Step]) -> tuple[Step, ...]:
        """Return the steps of the last stage whose own files depend on what changed.

        A COPY runs again if the layer below it is new, but it puts the same files on top: with fixed times these are
        the same bytes, and no new layer. A RUN may do anything with the files below it.
        """
        changed = set(changed)
        again = {step.number for step in self.again(changed)}
        return tuple(
            step
            for step in self.last_stage
            if step in changed or again.intersection(step.others) or (step.keyword == "RUN" and step.number in again)
        )

    def groups(self, files: Iterable[str]) -> dict[tuple[Step, ...], list[str]]:
        """Return the files of a context by the steps that read them; files that no step reads are under `()`."""
        found: dict[tuple[Step, ...], list[str]] = {}
        for file in sorted(files):
            found.setdefault(self.readers(file), []).append(file)
        return found


def read(path: Path, arguments: Mapping[str, str], target: str | None = None) -> Build:
    """Read the build that a Dockerfile describes with these build arguments: of a stage, or of the last one.

    Stages that it does not need are left out. Raise UserError if the file is no Dockerfile or has no such stage.
    """
    try:
        commands = dockerfile.parse_file(str(path))
    except (dockerfile.GoIOError, dockerfile.GoParseError) as error:
        raise UserError(f"{path} cannot be read as a Dockerfile ({error}): correct it.") from None
    reader = _Reader(arguments)
    for command in commands:
        reader.take(command)
    last = reader.ends.get(target or reader.stage)
    if last is None:
        raise UserError(f"{path} has no stage that begins with `FROM ...{f' AS {target}' if target else ''}`: add it.")
    needed = {last}
    for step in reversed(reader.steps):
        if step.number in needed:
            needed.update(step.after)
    steps = tuple(step for step in reader.steps if step.number in needed)
    used = frozenset[str]().union(*(step.arguments for step in steps))
    return Build(steps, {name: value for name, value in reader.values.items() if name in used})


class _Reader:
    """Takes the instructions of a Dockerfile from top to bottom, as BuildKit does."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.steps: list[Step] = []
        self.stage = self.number = ""
        """Name and number of the stage that instructions belong to; empty before the first FROM."""
        self.ends: dict[str, int] = {}
        """The last step of each stage, by name and by number."""
        self.scopes: dict[str, dict[str, str]] = {"": {}}
        """The build arguments that each stage knows; those before the first FROM are under the empty name."""
        self.values: dict[str, str] = {}

    def take(self, command: dockerfile.Command) -> None:
        """Take the next instruction."""
        keyword = command.cmd.upper()
        if keyword == "ARG":
            self._declare(command.value)
            return
        if keyword == "FROM":
            self._begin(*command.value)
        scope = self.scopes["" if keyword == "FROM" else self.stage]
        origins, sources = _inputs(command, keyword)
        step = Step(
            number=len(self.steps),
            stage=self.stage,
            keyword=keyword,
            text=" ".join(command.original.split()),
            line=command.start_line,
            below=self.ends.get(self.stage),
            # An origin that is no stage is an image from outside.
            others=tuple(self.ends[name] for origin in origins if (name := _expand(origin, scope)) in self.ends),
            # A RUN has every argument of its stage in its environment, named or not.
            arguments=frozenset(scope) if keyword == "RUN" else _named(command.original, scope),
            reads=tuple(_expand(source, scope).removeprefix("./").strip("/") for source in sources),
        )
        self.steps.append(step)
        self.ends[self.stage] = self.ends[self.number] = step.number

    def _begin(self, image: str, _as: str = "", name: str = "") -> None:
        parent = _expand(image, self.scopes[""])
        self.number = str(len(self.scopes) - 1)
        self.stage = name or self.number
        self.scopes[self.stage] = dict(self.scopes.get(parent, {}))
        if parent in self.ends:
            self.ends[self.stage] = self.ends[parent]

    def _declare(self, declarations: Iterable[str]) -> None:
        for declaration in declarations:
            name, has_default, default = declaration.partition("=")
            value = self.given.get(name, default if has_default else self.scopes[""].get(name))
            if value is not None:
                self.scopes[self.stage][name] = self.values[name] = value


def _inputs(command: dockerfile.Command, keyword: str) -> tuple[list[str], list[str]]:
    """Return the stages or images that an instruction copies from or mounts, and what it reads of the context."""
    if keyword == "RUN":
        mounts = [dict(option.partition("=")[::2] for option in flag.split(",")) for flag in _flags(command, "mount")]
        binds = [mount for mount in mounts if mount.get("type", "bind") == "bind" and "from" not in mount]
        return (
            [mount["from"] for mount in mounts if "from" in mount],
            [mount.get("source", mount.get("src", WHOLE_CONTEXT)) for mount in binds],
        )
    if keyword in ("ADD", "COPY"):
        origins = _flags(command, "from")
        return origins, [] if origins else list(command.value[:-1])
    return [], []


def _flags(command: dockerfile.Command, name: str) -> list[str]:
    """Return the values of `--name=value` in an instruction."""
    start = f"--{name}="
    return [flag.removeprefix(start) for flag in command.flags if flag.startswith(start)]


def _named(text: str, scope: Mapping[str, str]) -> frozenset[str]:
    """Return the build arguments that a text names."""
    return frozenset(name for pair in VARIABLE.findall(text) for name in pair if name in scope)


def _expand(text: str, scope: Mapping[str, str]) -> str:
    """Replace the build arguments in a text by their values."""
    return VARIABLE.sub(lambda found: scope.get(found[1] or found[2], ""), text)


def _covers(source: str, path: str) -> bool:
    """Return whether a source of COPY holds a file: it is the file, a folder above it, or a pattern for either."""
    parts, wanted = path.split("/"), source.split("/")
    return source in (WHOLE_CONTEXT, ".") or (
        len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
    )
