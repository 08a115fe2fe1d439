"""The builds are those that the program declares, and what a push brought is counted to the byte."""

import json
from pathlib import Path

import pytest

from bench import builds
from bench.builds import Built, Release
from bench.store import Store
from devcloud.bootstrap import ROOT
from devcloud.images.build import Request, buildctl
from infra import settings as settings_module
from infra.builds.plan import plan_builds
from infra.components import image as image_component
from infra.components.image import ImageArgs
from infra.settings import Settings

REGISTRY = "127.0.0.1:5001/bench/x"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_module.load_file(ROOT / "Pulumi.local.yaml", "local", ROOT)


def test_our_export_is_the_program_s(settings: Settings) -> None:
    args = ImageArgs(
        image="api",
        context="x",
        dockerfile="x",
        repository="r",
        content_tag="t",
        cache="c",
        platform=settings.images.platform,
        compression=settings.images.compression,
        compression_level=settings.images.compression_level,
        builder=None,
        login=[],
    )
    assert builds.our_export("r:t", settings) == image_component._export("r:t", args)


def test_our_cache_is_the_program_s(settings: Settings) -> None:
    # As infra/components/image.py asks for it, in the words of buildctl.
    source = (ROOT / "infra/components/image.py").read_text()
    for asked in ("CacheMode.MAX", "image_manifest=True", "oci_media_types=True", "compression_level=args"):
        assert asked in source
    cache = builds.our_cache(settings)
    assert "mode=max,image-manifest=true,oci-mediatypes=true" in cache
    assert cache.endswith(f"compression={settings.images.compression},compression-level=3")


def test_our_builds_have_the_tags_arguments_and_parents_of_the_plan(settings: Settings) -> None:
    plans = plan_builds(settings, ROOT)
    requests = {request.image: request for request in builds.our_requests(ROOT, settings, REGISTRY)}
    assert requests.keys() == plans.keys()
    for image, request in requests.items():
        assert request.build_args == plans[image].build_args
        assert f"{REGISTRY}/{image}:{plans[image].content_tag}" in request.export
        assert request.cache == f"{REGISTRY}/cache:{image}"
        assert (request.context / request.dockerfile).is_file()
    assert requests["worker"].parent == "base"


def test_buildctl_is_told_all_of_a_build(tmp_path: Path) -> None:
    request = Request(
        image="worker",
        context=tmp_path,
        dockerfile="images/worker/Dockerfile",
        build_args={"B": "2", "A": "1"},
        export="type=image,name=r:t,push=true",
        platform="linux/amd64",
        cache="r/cache:worker",
        cache_settings="mode=max",
        parent="base",
    )
    command = buildctl(request, "unix:///s", "r/base@sha256:1", tmp_path / "m.json")
    assert command[:4] == ["--addr", "unix:///s", "build", "--frontend"]
    assert "build-arg:A=1" in command
    assert "build-arg:BASE_IMAGE=r/base@sha256:1" in command
    assert "type=registry,ref=r/cache:worker,mode=max" in command
    assert command[-4:] == ["--output", request.export, "--metadata-file", str(tmp_path / "m.json")]


def test_a_build_without_a_cache_asks_for_none(settings: Settings) -> None:
    (request,) = builds.monolith_requests(ROOT, settings, REGISTRY)
    assert not any("cache" in word for word in buildctl(request, "a", None, Path("m")))
    assert {"TORCH_SOURCE", "MODELS"} <= request.build_args.keys()


def test_the_two_tiers_differ_from_ours_in_the_worker_and_build_it_all(settings: Settings) -> None:
    ours = {request.image: request for request in builds.our_requests(ROOT, settings, REGISTRY)}
    theirs = {request.image: request for request in builds.two_tier_requests(ROOT, settings, REGISTRY)}
    assert theirs["worker"].dockerfile == "bench/rivals/two-tier/Dockerfile"
    assert theirs["worker"].parent == "base"
    assert all(request.content_tag is None for request in theirs.values())
    assert theirs["api"].context == ours["api"].context


def test_bake_builds_our_dockerfiles_with_a_cache_and_the_parent_as_a_target(settings: Settings) -> None:
    document = builds.bake_document(plan_builds(settings, ROOT), settings, REGISTRY)
    assert document["group"]["default"]["targets"] == list(document["target"])
    worker = document["target"]["worker"]
    assert worker["contexts"] == {"base": "target:base"}
    assert worker["args"]["BASE_IMAGE"] == "base"
    assert worker["cache-to"] == [f"type=registry,ref={REGISTRY}/cache:worker,mode=max"]
    assert worker["dockerfile"] == "images/worker/Dockerfile"
    json.dumps(document)


def blob(folder: Path, digest: str, content: bytes) -> str:
    file = folder / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return f"sha256:{digest}"


def link(folder: Path, repository: str, kind: str, digest: str) -> None:
    file = folder / "docker/registry/v2/repositories" / repository / kind / "sha256" / digest / "link"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"sha256:{digest}")


def push(folder: Path, repository: str, manifest: str, layers: dict[str, int]) -> str:
    entries = [{"digest": blob(folder, name, b"x" * size), "size": size} for name, size in layers.items()]
    digest = blob(folder, manifest, json.dumps({"layers": entries}).encode())
    for name in layers:
        link(folder, repository, "_layers", name)
    link(folder, repository, "_manifests/revisions", manifest)
    return digest


def test_a_repository_holds_its_layers_and_manifests(tmp_path: Path) -> None:
    push(tmp_path, "b/api", "ff00", {"aa01": 10, "aa02": 20})
    push(tmp_path, "b/cache", "ff01", {"aa03": 30})
    store = Store(tmp_path)
    held = store.held("b", without="cache")
    assert {key.partition("@")[0] for key in held} == {"api"}
    assert held["api@sha256:aa02"] == 20
    assert "@sha256:aa03" in store.held("b/cache")
    assert store.held("nowhere") == {}


class FakeBuilds(builds.Builds):
    """Pushes what a test says, in place of BuildKit."""

    def __init__(self, folder: Path, layers: dict[str, int]) -> None:
        self.path = "b"
        self.folder = folder
        self.pushed = layers

    def build(self, before: Release | None = None) -> Release:
        digest = push(self.folder, "b/api", "ff99", self.pushed)
        push(self.folder, "b/cache", "ff98", {"cc01": 7})
        return Release({"api": Built(digest), "base": Built(push(self.folder, "b/base", "ff97", {"dd01": 1000}))}, 1.5)


def test_a_push_counts_what_the_repositories_did_not_hold_and_a_pull_the_layers_of_what_runs(tmp_path: Path) -> None:
    old = push(tmp_path, "b/api", "ff00", {"aa01": 10, "aa02": 20})
    before = Release({"api": Built(old)})
    fake = FakeBuilds(tmp_path, {"aa01": 10, "aa04": 5})
    release, figures = builds.measured(fake, Store(tmp_path), before, skip_same=False)
    manifests = sum(
        (tmp_path / "docker/registry/v2/blobs/sha256/ff" / m / "data").stat().st_size for m in ("ff99", "ff97")
    )
    assert figures["seconds"] == 1.5
    assert figures["pushed"] == 5 + 1000 + manifests
    assert figures["cache_pushed"] > 7
    assert figures["pulled"] == 5  # the base is no host's
    assert release.images["api"].digest == "sha256:ff99"


def test_the_first_build_has_nothing_to_pull_beside(tmp_path: Path) -> None:
    _, figures = builds.measured(FakeBuilds(tmp_path, {"aa01": 1}), Store(tmp_path), None, skip_same=False)
    assert "pulled" not in figures
