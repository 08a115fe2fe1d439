"""What is measured of whom: a list of scenarios and contenders, and the steps that follow from it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devcloud.util.console import UserError

Unit = Literal["s", "B", "MiB", "1/s", "ms"]

OURS, MONOLITH, TWO_TIER, BAKE = "ours", "monolith", "two-tier", "bake"
LOCAL, RANDOM = "local", "bert-base-random"
"""The models: the local stack's own, and random weights in BERT-base's shape (12 layers, hidden 768, 28,996 tokens)."""


@dataclass(frozen=True)
class Contender:
    """One way to build and run the product."""

    name: str
    title: str
    about: str


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario."""

    name: str
    title: str
    unit: Unit
    more_is_better: bool = False


@dataclass(frozen=True)
class Scenario:
    """One thing that is measured, the same for each contender."""

    name: str
    title: str
    group: str
    about: str
    metrics: tuple[Metric, ...]
    contenders: tuple[str, ...]
    models: tuple[str, ...] = (LOCAL,)
    most_runs: int | None = None
    """For what a repetition cannot change, such as a size."""


@dataclass(frozen=True)
class Step:
    """One measurement: a scenario, of a contender, with a model, for the nth time (from 1)."""

    model: str
    contender: str
    scenario: str
    run: int

    def __str__(self) -> str:
        return f"{self.scenario} of {self.contender} with {self.model}, run {self.run}"


CONTENDERS = (
    Contender(
        OURS,
        "Slipway",
        "The program's own images, built by BuildKit with the arguments that the program gives the provider: content "
        "tags, staged contexts, a registry cache of mode max. An image whose content tag did not change is not built.",
    ),
    Contender(
        MONOLITH,
        "monolith",
        "As teams start out: one image with the API, torch and the model; requirements before code, no registry "
        "cache and no cache mounts. The builder's own layers are used where they are there, as on a laptop; the row "
        "`empty builder` is what its CI does each time.",
    ),
    Contender(
        TWO_TIER,
        "two tiers, torch",
        "A worker FROM the base image, with torch at run time; base, API and front end as ours, with the same cache.",
    ),
    Contender(
        BAKE,
        "docker buildx bake",
        "Our Dockerfiles by `docker buildx bake --push` with a registry cache of mode max, from the checkout.",
    ),
)

SECONDS = Metric("seconds", "time", "s")
PUSHED = Metric("pushed", "pushed", "B")
CACHE = Metric("cache_pushed", "pushed to the cache", "B")
PULLED = Metric("pulled", "pulled by hosts with the release before", "B")
BUILD = (SECONDS, PUSHED, CACHE, PULLED)
START = (SECONDS, Metric("rss", "resident, idle", "MiB"))
SERVE = (
    Metric("rate", "requests a second", "1/s", more_is_better=True),
    Metric("p99", "99th percentile", "ms"),
    Metric("rss", "resident, after", "MiB"),
)
WORK = (Metric("rate", "jobs a second", "1/s", more_is_better=True), Metric("peak", "resident, peak", "MiB"))
UP = (SECONDS, Metric("image", "build and push of the image", "s"))

ALL = (OURS, MONOLITH, TWO_TIER, BAKE)
APIS, WORKERS = (OURS, MONOLITH), (OURS, MONOLITH, TWO_TIER)
"""Whose containers differ: what bake builds runs as ours does, and so does the API beside a worker with torch."""
BOTH = (LOCAL, RANDOM)


def _build(name: str, title: str, about: str, models: tuple[str, ...] = (LOCAL,)) -> Scenario:
    return Scenario(name, title, "build", about, BUILD, ALL, models)


# In the order of a session: `cold` first, `empty` last, since both leave the builder with nothing.
SCENARIOS = (
    _build("cold", "cold", "The builder empty, nothing in the registry.", BOTH),
    Scenario(
        "size",
        "size",
        "size",
        "What a service's image weighs: in the registry, and as `docker image inspect` says.",
        (
            Metric("api", "API, unpacked", "B"),
            Metric("api_compressed", "API, compressed", "B"),
            Metric("worker", "worker, unpacked", "B"),
            Metric("worker_compressed", "worker, compressed", "B"),
            Metric("web", "front end, unpacked", "B"),
            Metric("base", "base, unpacked", "B"),
            Metric("all_compressed", "all that runs, compressed", "B"),
        ),
        ALL,
        BOTH,
        most_runs=1,
    ),
    _build("nothing", "nothing changed", "Every image is asked for once more.", BOTH),
    _build("code-api", "one file of the API", "A line in app/api.", BOTH),
    _build("code-worker", "one file of the worker", "A line in app/worker.", BOTH),
    _build("many", "100 files, 10 MB", "100 new files of random bytes, 10 MB together, in app/api."),
    _build("requirement-api", "a requirement of the API", "One more pinned package in its lock."),
    _build("requirement-worker", "a requirement of the worker", "One more pinned package in its lock.", BOTH),
    _build("argument", "a build argument", "MODELS, with another name for the same model."),
    _build("model", "another model", "A model of random weights in BERT-base's shape, of another seed each run."),
    _build("base", "the base", "One more pinned package in the base's lock, and its next VERSION."),
    _build("system", "a system package", "One more package of Debian's in the image that runs the model."),
    _build(
        "empty",
        "from an empty builder",
        "A line in app/api, the builder emptied before: what CI does. Only the registry's cache is there.",
    ),
    Scenario(
        "start-api",
        "API: start to ready",
        "start",
        "From the container's start, within 1 CPU and 2 GB, to the first good /health. The monolith's process has its "
        "worker in it, and so loads torch and the model.",
        START,
        APIS,
        BOTH,
    ),
    Scenario(
        "start-worker",
        "worker: start to ready",
        "start",
        "From the container's start, within 0.5 CPU and 3 GB, to its word that it is ready. The two tiers' worker runs "
        "the base's packages, which are not compiled: each start compiles torch's.",
        START,
        WORKERS,
        BOTH,
    ),
    Scenario(
        "read",
        "API: reading a panel",
        "serve",
        "GET /labs/{id} over 16 connections within 1 CPU and 2 GB, until 10,000 were answered.",
        SERVE,
        APIS,
        BOTH,
    ),
    Scenario(
        "write",
        "API: entering a panel",
        "serve",
        "POST /labs over 16 connections within 1 CPU and 2 GB, for 10 s; the queue is the emulator's, which is slow.",
        SERVE,
        APIS,
        BOTH,
    ),
    Scenario(
        "jobs",
        "worker: panels",
        "work",
        "200 panels of 8 tests within 0.5 CPU and 3 GB; what is done after 5 minutes counts.",
        WORK,
        WORKERS,
        BOTH,
    ),
    Scenario(
        "thousand",
        "worker: 1,000 panels",
        "work",
        "1,000 panels of 8 tests within 0.5 CPU and 3 GB; what is done after 15 minutes counts.",
        WORK,
        (OURS, TWO_TIER),
        (RANDOM,),
        most_runs=1,
    ),
    Scenario(
        "up-nothing",
        "`pulumi up`, nothing changed",
        "up",
        "The whole program, by the real engine, on the cloud on this machine.",
        (SECONDS,),
        (OURS,),
    ),
    Scenario(
        "up-code-api",
        "`pulumi up`, one file of the API",
        "up",
        "The same, after a line in app/api: build, push, release.",
        UP,
        (OURS,),
    ),
    Scenario(
        "up-code-worker",
        "`pulumi up`, one file of the worker",
        "up",
        "The same, after a line in app/worker: build, push, task, service.",
        UP,
        (OURS,),
    ),
)
# A session of builds ends with the builder empty; containers come before that, while the images are known.
_ORDER = ("cold", "size", "start", "serve", "work", "build", "up", "empty")


def scenario(name: str) -> Scenario:
    return next(one for one in SCENARIOS if one.name == name)


def steps(runs: int, only: Sequence[str] = (), done: Collection[Step] = ()) -> Iterator[Step]:
    """The measurements still to be made, in the order in which they cost least.

    `only` holds names of scenarios, groups, contenders and models: of each kind that is named, only those are
    measured. Raise UserError for a name that is none of these.
    """
    wanted = _wanted(only)
    for model in BOTH:
        for contender in CONTENDERS:
            for one in sorted(SCENARIOS, key=_place):
                if model not in one.models or contender.name not in one.contenders:
                    continue
                if not all(names & {one.name, one.group, contender.name, model} for names in wanted):
                    continue
                for run in range(1, min(runs, one.most_runs or runs) + 1):
                    step = Step(model, contender.name, one.name, run)
                    if step not in done:
                        yield step


def _place(one: Scenario) -> int:
    return _ORDER.index(one.name if one.name in _ORDER else one.group)


def _wanted(only: Sequence[str]) -> list[set[str]]:
    """The names by kind, each kind to be met by one of its names."""
    kinds = (
        {one.name for one in SCENARIOS} | {one.group for one in SCENARIOS},
        {contender.name for contender in CONTENDERS},
        set(BOTH),
    )
    for name in only:
        if not any(name in kind for kind in kinds):
            known = "; ".join(", ".join(sorted(kind)) for kind in kinds)
            raise UserError(f"ONLY={name!r} is nothing that the bench knows; it knows {known}.")
    return [kind.intersection(only) for kind in kinds if kind.intersection(only)]
