"""Build each contender's images by BuildKit, and measure what that leaves in the registry.

Ours are the builds that the program declares: the same staged contexts, content tags, build arguments, exporter and
cache settings, given to BuildKit by buildctl instead of Pulumi's provider (tests/bench/test_builds.py compares the
two). So all contenders are timed alike, without the time that Pulumi takes; the scenarios `up-...` show that.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plan import BAKE, MONOLITH, OURS, TWO_TIER
from bench.roles import images_not_run, worker_image
from bench.store import Store
from devcloud.images.build import Request, buildctl, run
from infra import settings as settings_module
from infra.builds import staging
from infra.builds.plan import PARENT_ARGUMENT, BuildPlan, plan_builds
from infra.settings import Settings

RIVALS = "bench/rivals"
CACHE = "cache"
SCRATCH = ".slipway/bench"
"""The folder of what builders are given and answer: inside the checkout, ignored by git."""


@dataclass(frozen=True)
class Built:
    """An image as a build left it in the registry."""

    digest: str
    content_tag: str | None = None


@dataclass(frozen=True)
class Release:
    """The images of one build, and the seconds that it took."""

    images: Mapping[str, Built]
    seconds: float = 0


@dataclass(frozen=True)
class Tools:
    """The programs that build."""

    buildctl: Path
    buildx: Path | None
    """Needed by `bake` alone."""
    address: str
    """Of BuildKit."""
    builder: str
    """The buildx instance that stands for it."""
    environment: Mapping[str, str]


def our_export(reference: str, settings: Settings) -> str:
    """Return the exporter's settings that the program gives (infra/components/image.py)."""
    return f"type=image,name={reference},push=true,oci-mediatypes=true,{_compression(settings)},force-compression=true"


def our_cache(settings: Settings) -> str:
    """Return the cache's settings that the program gives (infra/components/image.py)."""
    return f"mode=max,image-manifest=true,oci-mediatypes=true,{_compression(settings)}"


def _compression(settings: Settings) -> str:
    return f"compression={settings.images.compression},compression-level={settings.images.compression_level}"


def our_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """Return the program's builds, parents first, with their contexts staged. `namespace` is `host:port/path`."""
    requests = []
    for image, plan in plan_builds(settings, root).items():
        staging.stage(plan.files, root / plan.context)
        request = Request(
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
        requests.append(request)
    return requests


def two_tier_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """Return our builds, with a worker that is FROM the base and runs torch.

    Without content tags: every image is built each time.
    """
    torch_worker: dict[str, Any] = {"context": root, "dockerfile": f"{RIVALS}/two-tier/Dockerfile"}
    return [
        dataclasses.replace(
            request,
            content_tag=None,
            export=our_export(f"{namespace}/{request.image}", settings),
            **(torch_worker if request.image == worker_image() else {}),
        )
        for request in our_requests(root, settings, namespace)
    ]


def monolith_requests(root: Path, settings: Settings, namespace: str) -> list[Request]:
    """Return one image, with the arguments of the worker and of its base, and no cache but the builder's own."""
    plans = plan_builds(settings, root)
    worker = plans[worker_image()]
    base_arguments = plans[worker.parent].build_args if worker.parent else {}
    request = Request(
        image=MONOLITH,
        context=root,
        dockerfile=f"{RIVALS}/monolith/Dockerfile",
        build_args={**base_arguments, **worker.build_args},
        export=f"type=image,name={namespace}/{MONOLITH},push=true",
        platform=settings.images.platform,
    )
    return [request]


REQUESTS: Mapping[str, Callable[[Path, Settings, str], list[Request]]] = {
    OURS: our_requests,
    TWO_TIER: two_tier_requests,
    MONOLITH: monolith_requests,
}


def bake_document(plans: Mapping[str, BuildPlan], settings: Settings, namespace: str) -> dict[str, Any]:
    """Return a bake file for our Dockerfiles, as a person would write it: one context, the parent as a target."""
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


class Builds:
    """The builds of one contender out of one checkout into one namespace of the registry."""

    def __init__(self, contender: str, root: Path, registry: str, path: str, tools: Tools) -> None:
        """`registry` is `host:port`; `path` is the namespace in it."""
        self.contender = contender
        self.root = root
        self.path = path
        self.namespace = f"{registry}/{path}"
        self.tools = tools

    def build(self, before: Release | None = None) -> Release:
        """Build and push everything that the contender would; `before` is its last release, if it can know."""
        settings = settings_module.load_file(self.root / "Pulumi.local.yaml", "local", self.root)
        (self.root / SCRATCH).mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        if self.contender == BAKE:
            images = self._bake(settings)
        else:
            images = self._buildkit(REQUESTS[self.contender](self.root, settings, self.namespace), before)
        return Release(images, time.monotonic() - started)

    def empty_builder(self) -> None:
        """Empty BuildKit: layers, contexts, cache mounts."""
        run([str(self.tools.buildctl), "--addr", self.tools.address, "prune", "--all"], self.tools.environment)

    @property
    def caches(self) -> bool:
        """Whether there is a registry cache."""
        return self.contender != MONOLITH

    def _buildkit(self, requests: Sequence[Request], before: Release | None) -> dict[str, Built]:
        """Build what changed, side by side, a parent before its children, as Pulumi does."""
        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            pending: dict[str, Future[Built]] = {}
            for request in requests:
                pending[request.image] = pool.submit(self._one, request, dict(pending), before)
            return {image: future.result() for image, future in pending.items()}

    def _one(self, request: Request, parents: Mapping[str, Future[Built]], before: Release | None) -> Built:
        last = before.images.get(request.image) if before else None
        if last and request.content_tag and last.content_tag == request.content_tag:
            return last
        parent = None
        if request.parent:
            parent = f"{self.namespace}/{request.parent}@{parents[request.parent].result().digest}"
        metadata = self.root / SCRATCH / f"{request.image}.json"
        metadata.unlink(missing_ok=True)
        command = [str(self.tools.buildctl), *buildctl(request, self.tools.address, parent, metadata)]
        run(command, self.tools.environment)
        return Built(json.loads(metadata.read_text())["containerimage.digest"], request.content_tag)

    def _bake(self, settings: Settings) -> dict[str, Built]:
        plans = plan_builds(settings, self.root)
        file, metadata = self.root / SCRATCH / "docker-bake.json", self.root / SCRATCH / "bake.json"
        file.write_text(json.dumps(bake_document(plans, settings, self.namespace), indent=1))
        command = [str(self.tools.buildx), "bake", "--file", str(file), "--builder", self.tools.builder, "--push"]
        # Provenance would make each image an index of two, which is no part of what is compared.
        command += ["--provenance=false", "--progress", "plain", "--metadata-file", str(metadata)]
        run(command, self.tools.environment, cwd=self.root)
        answer = json.loads(metadata.read_text())
        return {image: Built(answer[image]["containerimage.digest"]) for image in plans}


def measured(
    builds: Builds, store: Store, before: Release | None, *, skip_same: bool
) -> tuple[Release, dict[str, float]]:
    """Build. Return the release, and how long it took and what is new in the registry, in seconds and bytes.

    `before` is the release that hosts have; with `skip_same`, the contender knows its images' content tags and leaves
    alone what did not change.
    """
    images, cache = _held(builds, store)
    release = builds.build(before if skip_same else None)
    new_images, new_cache = _held(builds, store)
    figures = {
        "seconds": release.seconds,
        "pushed": _new(images, new_images),
        "cache_pushed": _new(cache, new_cache),
    }
    if before:
        figures["pulled"] = pulled(builds.path, store, before, release)
    return release, figures


def _held(builds: Builds, store: Store) -> tuple[dict[str, int], dict[str, int]]:
    """Return the blobs of the repositories of images and of the cache's."""
    return store.held(builds.path, without=CACHE), store.held(f"{builds.path}/{CACHE}")


def pulled(path: str, store: Store, before: Release, after: Release) -> float:
    """Return what hosts that have the release before pull of the next, in bytes of layers."""
    total = 0.0
    for image in after.images.keys() - images_not_run():
        old = store.layers(f"{path}/{image}", before.images[image].digest) if image in before.images else {}
        total += _new(old, store.layers(f"{path}/{image}", after.images[image].digest))
    return total


def _new(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    return float(sum(size for digest, size in after.items() if digest not in before))
