"""Why ours is worse, where it is: each ratio below 1 that is more than the spread of the runs needs a reason here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """A reason, for a metric of some scenarios against some contenders; empty means any."""

    reason: str
    scenarios: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()

    def holds(self, scenario: str, metric: str, contender: str) -> bool:
        """Whether it is about this ratio."""
        return (
            (not self.scenarios or scenario in self.scenarios)
            and (not self.metrics or metric in self.metrics)
            and (not self.contenders or contender in self.contenders)
        )


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "There is no registry cache to push to: the next empty builder starts from nothing (row `from an empty "
        "builder`).",
        metrics=("cache_pushed",),
        contenders=("monolith",),
    ),
    Explanation(
        "The builder still holds all of it, and there is no registry cache to look up or to push. Ours leaves behind "
        "what the next empty builder needs (row `from an empty builder`).",
        scenarios=("nothing", "code-api", "code-worker", "many"),
        metrics=("seconds",),
        contenders=("monolith",),
    ),
    Explanation(
        "Ours carries the compiled bytecode beside the source, so that no start compiles it.",
        scenarios=("code-api", "many"),
        metrics=("pushed", "pulled"),
        contenders=("monolith",),
    ),
    Explanation(
        "Ours carries the compiled bytecode beside the source, so that no start compiles it, and the cache has the "
        "stage that compiled it.",
        scenarios=("code-worker",),
        metrics=("pushed", "cache_pushed", "pulled"),
        contenders=("two-tier",),
    ),
    Explanation(
        "The cache has the stage that installs, beside the layer that is copied from it into what runs.",
        scenarios=("requirement-worker",),
        metrics=("cache_pushed",),
        contenders=("two-tier",),
    ),
    Explanation(
        "No model is exported: the worker carries torch and the model as it was fetched (rows `size` and `start to "
        "ready`).",
        scenarios=("cold",),
        metrics=("seconds", "cache_pushed"),
        contenders=("two-tier",),
    ),
    Explanation(
        "Under another name the model is exported, quantized and checked anew, and its prototypes are embedded: stages "
        "that the cache holds. The others carry the model as it was fetched (rows `size` and `start to ready`).",
        scenarios=("argument",),
        metrics=("seconds", "cache_pushed"),
        contenders=("monolith", "two-tier"),
    ),
    Explanation(
        "Only the cache's own lists are pushed, and a worker that exports its model has more stages to list.",
        scenarios=("nothing",),
        metrics=("cache_pushed",),
        contenders=("two-tier",),
    ),
    Explanation(
        "The same layers at another level of gzip: ours is the setting `images.compressionLevel`, bake's is BuildKit's "
        "own.",
        scenarios=("size", "cold", "requirement-api", "requirement-worker", "base", "system"),
        metrics=(
            *("pushed", "cache_pushed", "pulled"),
            *("api_compressed", "worker_compressed", "base_compressed", "web_compressed", "all_compressed"),
        ),
        contenders=("bake",),
    ),
    Explanation(
        "A swing of the machine, as far as was seen: the same stages run, and watched step by step one after the other "
        "ours took 25.3 s and bake 25.5 s under another name of the model, of which the export is 16 s in both.",
        scenarios=("argument", "model"),
        metrics=("seconds",),
        contenders=("bake",),
    ),
    Explanation(
        "Our worker's build begins when its base is pushed, for it names the base by digest; bake builds all images as "
        "one graph. With MiniLM, whose layers are smaller, that is no difference.",
        scenarios=("cold",),
        metrics=("seconds",),
        contenders=("bake",),
    ),
    Explanation(
        "Bake asks for all images in one build; the bench asks ours for four. In an `up` ours asks for none, since no "
        "content tag changed.",
        scenarios=("nothing",),
        metrics=("seconds",),
        contenders=("bake",),
    ),
)


def why(scenario: str, metric: str, contender: str) -> str | None:
    """The reason for a ratio below 1; None where nobody gave one."""
    return next((one.reason for one in EXPLANATIONS if one.holds(scenario, metric, contender)), None)
