"""What a change rebuilds: a Dockerfile as a graph of steps, and what each of them is made from.

BuildKit runs a step again where the step before it, a stage that it copies from, a file that it reads or a build
argument that it knows has changed; so the graph says beforehand, for each input, what that will be. The parser is
BuildKit's own.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dockerfile

MAKES_A_LAYER = ("ADD", "COPY", "RUN", "WORKDIR")
WORKS = ("ADD", "COPY", "RUN")
"""The instructions that take time when they are done again."""
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
WHOLE_CONTEXT = ""
"""The path that stands for every file of the context."""


@dataclass(frozen=True)
class Step:
    """One instruction of a stage that takes part in the image."""

    number: int
    """Its place in the Dockerfile, counted in instructions."""
    stage: str
    keyword: str
    text: str
    """The instruction, on one line."""
    line: int
    """Where it stands in the Dockerfile, from 1."""
    below: int | None
    """The step that it is done on top of: the one before it in its stage, or the last of its parent stage."""
    others: tuple[int, ...]
    """The last steps of the stages that it copies from or mounts."""
    arguments: frozenset[str]
    """The build arguments that its result depends on."""
    reads: tuple[str, ...]
    """What it reads of the context: files, folders or patterns."""

    @property
    def after(self) -> tuple[int, ...]:
        """The steps that it needs."""
        return self.others if self.below is None else (self.below, *self.others)

    @property
    def chooses(self) -> bool:
        """Whether it is a FROM whose parent is a stage: an argument in it chooses among stages."""
        return self.keyword == "FROM" and self.below is not None


@dataclass(frozen=True)
class Build:
    """The steps that the last stage needs, in the order of the Dockerfile."""

    steps: tuple[Step, ...]
    arguments: Mapping[str, str]
    """The build arguments that any of them depends on, and their values."""

    @property
    def last_stage(self) -> tuple[Step, ...]:
        """The steps whose layers are the image's own."""
        return tuple(step for step in self.steps if step.stage == self.steps[-1].stage)

    def readers(self, path: str) -> tuple[Step, ...]:
        """The steps that read a file of the context."""
        return tuple(step for step in self.steps if any(covers(source, path) for source in step.reads))

    def users(self, argument: str) -> tuple[Step, ...]:
        """The steps whose result depends on a build argument."""
        return tuple(step for step in self.steps if argument in step.arguments)

    def again(self, changed: Iterable[Step]) -> tuple[Step, ...]:
        """These steps and all that need them: what runs again when they do."""
        again = {step.number for step in changed}
        for step in self.steps:
            if again.intersection(step.after):
                again.add(step.number)
        return tuple(step for step in self.steps if step.number in again)

    def made_of(self, changed: Iterable[Step]) -> tuple[Step, ...]:
        """The steps of the last stage whose own files come of what changed.

        A COPY runs again where the layer below it is another, but it puts the same files on top: with fixed times
        these are the same bytes, and no new layer. A RUN may do anything with what is below.
        """
        again = {step.number for step in self.again(changed)}
        at_once = {step.number for step in changed}
        return tuple(
            step
            for step in self.last_stage
            if step.number in again
            and (step.keyword == "RUN" or step.number in at_once or again.intersection(step.others))
        )

    def groups(self, files: Sequence[str]) -> dict[tuple[Step, ...], list[str]]:
        """The files of a context, together where the same steps read them; those that none reads under `()`."""
        found: dict[tuple[Step, ...], list[str]] = {}
        for file in sorted(files):
            found.setdefault(self.readers(file), []).append(file)
        return found


class _Reader:
    """Reads a Dockerfile from top to bottom, as BuildKit does."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.steps: list[Step] = []
        self.defaults: dict[str, str] = {}
        """Arguments before the first stage: what FROM may name, and what a stage may take over."""
        self.ends: dict[str, int] = {}
        """The last step of each stage, by its name and its number."""
        self.scopes: dict[str, dict[str, str]] = {}
        self.values: dict[str, str] = {}

    def read(self, commands: Sequence[dockerfile.Command]) -> None:
        """Take every instruction in turn."""
        stage, stages = "", 0
        for command in commands:
            keyword = command.cmd.upper()
            if keyword == "FROM":
                name, stages = str(stages), stages + 1
                if len(command.value) == 3:
                    name = command.value[2]
                self._begin(command, name, stages - 1)
                stage = name
            elif not stage:
                self._declare(command, self.defaults)
            else:
                self._add(command, stage)

    def _begin(self, command: dockerfile.Command, name: str, number: int) -> None:
        parent = self._expand(command.value[0], self.defaults)
        used = self._named(command.value[0], self.defaults)
        self.scopes[name] = dict(self.scopes.get(parent, {}))
        self._append(command, name, self.ends.get(parent), (), used, ())
        self.ends[str(number)] = self.ends[name]

    def _add(self, command: dockerfile.Command, stage: str) -> None:
        keyword, scope = command.cmd.upper(), self.scopes[stage]
        below = self.ends[stage]
        if keyword == "ARG":
            self._declare(command, scope)
            self._append(command, stage, below, (), frozenset(), ())
            return
        used = self._named(command.original, scope)
        reads: tuple[str, ...] = ()
        others: tuple[int, ...] = ()
        if keyword == "RUN":
            # A RUN has every argument of its stage in its environment, whether or not it names it.
            used |= frozenset(scope)
            mounts = [_options(flag) for flag in command.flags if flag.startswith("--mount=")]
            binds = [mount for mount in mounts if mount.get("type", "bind") == "bind"]
            sources = (mount.get("source", WHOLE_CONTEXT) for mount in binds if "from" not in mount)
            reads = tuple(self._expand(source, scope) for source in sources)
            others = self._stages(mount["from"] for mount in mounts if "from" in mount)
        elif keyword in ("ADD", "COPY"):
            origin = [flag.removeprefix("--from=") for flag in command.flags if flag.startswith("--from=")]
            others = self._stages(self._expand(name, scope) for name in origin)
            reads = () if origin else tuple(self._expand(source, scope) for source in command.value[:-1])
        self._append(command, stage, below, others, used, reads)

    def _append(
        self,
        command: dockerfile.Command,
        stage: str,
        below: int | None,
        others: tuple[int, ...],
        used: frozenset[str],
        reads: tuple[str, ...],
    ) -> None:
        number = len(self.steps)
        self.steps.append(
            Step(
                number=number,
                stage=stage,
                keyword=command.cmd.upper(),
                text=" ".join(command.original.split()),
                line=command.start_line,
                below=below,
                others=others,
                arguments=used,
                reads=tuple(map(_clean, reads)),
            )
        )
        self.ends[stage] = number

    def _declare(self, command: dockerfile.Command, scope: dict[str, str]) -> None:
        for declared in command.value:
            name, has_default, default = declared.partition("=")
            value = self.given.get(name, default if has_default else self.defaults.get(name))
            if value is not None:
                scope[name] = self.values[name] = value

    def _stages(self, names: Iterable[str]) -> tuple[int, ...]:
        """The last steps of stages; an image from outside has none."""
        return tuple(self.ends[name] for name in names if name in self.ends)

    @staticmethod
    def _named(text: str, scope: Mapping[str, str]) -> frozenset[str]:
        return frozenset(name for pair in VARIABLE.findall(text) for name in pair if name in scope)

    @staticmethod
    def _expand(text: str, scope: Mapping[str, str]) -> str:
        return VARIABLE.sub(lambda found: scope.get(found[1] or found[2], ""), text)


def read(path: Path, arguments: Mapping[str, str]) -> Build:
    """The build that a Dockerfile describes with these build arguments; stages that it leaves alone are left out.

    Raises dockerfile.GoParseError for what is no Dockerfile.
    """
    reader = _Reader(arguments)
    reader.read(dockerfile.parse_file(str(path)))
    needed = set(_needed(reader.steps))
    steps = tuple(step for step in reader.steps if step.number in needed)
    used = frozenset[str]().union(*(step.arguments for step in steps))
    return Build(steps, {name: value for name, value in reader.values.items() if name in used})


def _needed(steps: Sequence[Step]) -> Iterator[int]:
    """The last step, and every step that it needs."""
    waiting, seen = [len(steps) - 1], set[int]()
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            yield number
            waiting += steps[number].after


def _options(flag: str) -> dict[str, str]:
    """What `--mount=type=bind,source=wheels,...` says; BuildKit knows `src` for `source` too."""
    pairs = (option.partition("=") for option in flag.removeprefix("--mount=").split(","))
    options = {name: value for name, _, value in pairs}
    if "src" in options:
        options["source"] = options.pop("src")
    return options


def _clean(source: str) -> str:
    """A source without what does not count: a leading `./`, slashes around it."""
    plain = source.strip("/").removeprefix("./")
    return WHOLE_CONTEXT if plain == "." else plain


def covers(source: str, path: str) -> bool:
    """Whether a source of COPY holds a file: it is the file, a folder above it, or a pattern for either."""
    if source == WHOLE_CONTEXT:
        return True
    parts, wanted = path.split("/"), source.split("/")
    return len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
