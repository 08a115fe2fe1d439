"""The builds of each contender: which images, with which arguments, and what they leave in the registry.

Ours are the builds that the program declares: the same staged contexts, content tags, build arguments, exporter and
cache settings, given to BuildKit by buildctl in place of Pulumi's provider (tests/bench/test_builds.py holds
the two together). So that all contenders are timed alike, the engine's own time is no part of it; the scenarios
`up-...` show that.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.plan import BAKE, MONOLITH, OURS, TWO_TIER
from bench.store import Store
from devcloud.images.build import Request, buildctl, run
from infra import settings as settings_module
from infra.builds import staging
from infra.builds.plan import PARENT_ARGUMENT, BuildPlan, plan_builds
from infra.settings import Settings

RIVALS = "bench/rivals"
CACHE = "cache"
BAKE_FILE = ".slipway/bench/docker-bake.json"
NOT_RUN = ("base",)
"""Images that nothing runs: no host pulls them."""


@dataclass(frozen=True)
class Built:
    """An image as a build left it in the registry."""

    digest: str
    content_tag: str | None = None


@dataclass
class Outcome:
    """What a contender's build came to."""

    images: dict[str, Built] = field(default_factory=dict)
    seconds: float = 0


def our_export(reference: str, settings: Settings) -> str:
    """The exporter's settings that the program gives (infra/components/image.py)."""
    images = settings.images
    return (
        f"type=image,name={reference},push=true,oci-mediatypes=true,"
        f"compression={images.compression},compression-level={images.compression_level},force-compression=true"
    )


def our_cache(settings: Settings) -> str:
    """The cache's settings that the program gives (infra/components/image.py)."""
    images = settings.images
    return (
        "mode=max,image-manifest=true,oci-mediatypes=true,"
        f"compression={images.compression},compression-level={images.compression_level}"
    )


def our_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """The program's builds, parents first, with their contexts staged. `namespace` is `host:port/path`."""
    requests = []
    for image, plan in plan_builds(settings, root).items():
        staging.stage(plan.files, root / plan.context)
        requests.append(_our_request(root, settings, namespace, image, plan))
    return requests


def _our_request(root: Path, settings: Settings, namespace: str, image: str, plan: BuildPlan) -> Request:
    return Request(
        image=image,
        context=root / plan.context,
        dockerfile=plan.dockerfile,
        build_args=plan.build_args,
        export=our_export(f"{namespace}/{image}:{plan.content_tag}", settings),
        platform=settings.images.platform,
        cache=f"{namespace}/{CACHE}:{image}",
        cache_settings=our_cache(settings),
        parent=plan.parent,
        content_tag=plan.content_tag,
    )


def two_tier_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """Ours, with a worker that is FROM the base and runs torch; every image is built each time, as without content
    tags."""
    requests = []
    for request in our_requests(root, settings, namespace):
        changes: dict[str, Any] = {"content_tag": None, "export": our_export(f"{namespace}/{request.image}", settings)}
        if request.image == "worker":
            changes |= {"context": root, "dockerfile": f"{RIVALS}/two-tier/Dockerfile"}
        requests.append(Request(**{**vars(request), **changes}))
    return requests


def monolith_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """One image, with the arguments of the base and of the worker, and no cache but the builder's own."""
    plans = plan_builds(settings, root)
    arguments = {**plans["base"].build_args, **plans["worker"].build_args}
    request = Request(
        image=MONOLITH,
        context=root,
        dockerfile=f"{RIVALS}/monolith/Dockerfile",
        build_args=arguments,
        export=f"type=image,name={namespace}/{MONOLITH},push=true",
        platform=settings.images.platform,
    )
    return [request]


def bake_document(plans: Mapping[str, BuildPlan], settings: Settings, namespace: str) -> dict[str, Any]:
    """A bake file for our Dockerfiles, as a person would write it: one context, the parent as a target."""
    targets: dict[str, Any] = {}
    for image, plan in plans.items():
        cache = f"type=registry,ref={namespace}/{CACHE}:{image}"
        targets[image] = {
            "context": ".",
            "dockerfile": plan.dockerfile,
            "platforms": [settings.images.platform],
            "args": dict(plan.build_args),
            "tags": [f"{namespace}/{image}:latest"],
            "cache-from": [cache],
            "cache-to": [f"{cache},mode=max"],
        }
        if plan.parent:
            targets[image]["args"][PARENT_ARGUMENT] = plan.parent
            targets[image]["contexts"] = {plan.parent: f"target:{plan.parent}"}
    return {"group": {"default": {"targets": list(plans)}}, "target": targets}


@dataclass(frozen=True)
class Tools:
    """What builds."""

    buildctl: Path
    buildx: Path | None
    """Needed by `bake` alone."""
    address: str
    """Of BuildKit."""
    builder: str
    """The buildx instance that stands for it."""
    environment: Mapping[str, str]


class Builds:
    """The builds of one contender out of one checkout into one namespace of the registry."""

    def __init__(self, contender: str, root: Path, registry: str, path: str, tools: Tools) -> None:
        """`registry` is `host:port`; `path` is the namespace in it."""
        self.contender = contender
        self.root = root
        self.path = path
        self.namespace = f"{registry}/{path}"
        self.tools = tools

    def build(self, before: Outcome | None = None) -> Outcome:
        """Build and push everything that the contender would; `before` is what it built last, where it can know."""
        settings = settings_module.load_file(self.root / "Pulumi.local.yaml", "local", self.root)
        started = time.monotonic()
        if self.contender == BAKE:
            outcome = self._bake(settings)
        else:
            outcome = self._buildkit(REQUESTS[self.contender](self.root, settings, self.namespace), before)
        outcome.seconds = time.monotonic() - started
        return outcome

    def empty_builder(self) -> None:
        """Empty BuildKit: layers, contexts, cache mounts."""
        run([str(self.tools.buildctl), "--addr", self.tools.address, "prune", "--all"], self.tools.environment)

    @property
    def caches(self) -> bool:
        """Whether there is a registry cache."""
        return self.contender != MONOLITH

    def _buildkit(self, requests: Sequence[Request], before: Outcome | None) -> Outcome:
        """Build what changed, side by side, a parent before its children, as Pulumi's engine does."""
        outcome = Outcome()
        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            pending: dict[str, Future[Built]] = {}
            for request in requests:
                pending[request.image] = pool.submit(self._one, request, dict(pending), before)
            for image, future in pending.items():
                outcome.images[image] = future.result()
        return outcome

    def _one(self, request: Request, parents: Mapping[str, Future[Built]], before: Outcome | None) -> Built:
        last = before.images.get(request.image) if before else None
        if last and request.content_tag and last.content_tag == request.content_tag:
            return last
        parent = None
        if request.parent:
            parent = f"{self.namespace}/{request.parent}@{parents[request.parent].result().digest}"
        metadata = self.root / ".slipway" / "bench" / f"{request.image}.json"
        metadata.parent.mkdir(parents=True, exist_ok=True)
        metadata.unlink(missing_ok=True)
        command = [str(self.tools.buildctl), *buildctl(request, self.tools.address, parent, metadata)]
        run(command, self.tools.environment)
        return Built(json.loads(metadata.read_text())["containerimage.digest"], request.content_tag)

    def _bake(self, settings: Settings) -> Outcome:
        plans = plan_builds(settings, self.root)
        file = self.root / BAKE_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bake_document(plans, settings, self.namespace), indent=1))
        metadata = file.with_name("bake.json")
        command = [str(self.tools.buildx), "bake", "--file", str(file), "--builder", self.tools.builder, "--push"]
        # Provenance would make each image an index of two, which is no part of what is compared.
        command += ["--provenance=false", "--progress", "plain", "--metadata-file", str(metadata)]
        run(command, self.tools.environment, cwd=self.root)
        said = json.loads(metadata.read_text())
        return Outcome({image: Built(said[image]["containerimage.digest"]) for image in plans})


REQUESTS: Mapping[str, Callable[[Path, Settings, str], list[Request]]] = {
    OURS: our_requests,
    TWO_TIER: two_tier_requests,
    MONOLITH: monolith_requests,
}


def measured(
    builds: Builds, store: Store, before: Outcome | None, *, skip_same: bool
) -> tuple[Outcome, dict[str, float]]:
    """Build, and say how long it took and what is new in the registry, in seconds and bytes.

    `before` is the release that hosts have; `skip_same`: a contender that knows its images' content tags leaves
    alone what did not change.
    """
    images, cache = store.held(builds.path, without=CACHE), store.held(f"{builds.path}/{CACHE}")
    outcome = builds.build(before if skip_same else None)
    new_images = store.held(builds.path, without=CACHE)
    new_cache = store.held(f"{builds.path}/{CACHE}")
    figures = {
        "seconds": outcome.seconds,
        "pushed": float(_new(images, new_images)),
        "cache_pushed": float(_new(cache, new_cache)),
    }
    if before:
        figures["pulled"] = float(pulled(builds.path, store, before, outcome))
    return outcome, figures


def pulled(path: str, store: Store, before: Outcome, after: Outcome) -> int:
    """What hosts that have the release before pull of the next, in bytes of layers."""
    total = 0
    for image, built in after.images.items():
        if image in NOT_RUN:
            continue
        old = store.layers(f"{path}/{image}", before.images[image].digest) if image in before.images else {}
        total += _new(old, store.layers(f"{path}/{image}", built.digest))
    return total


def _new(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    return sum(size for digest, size in after.items() if digest not in before)
