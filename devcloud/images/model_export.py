"""The worker's model as a folder of this machine: out of the worker's own Dockerfile, by BuildKit, once.

The stages `exported` and `prototypes` of the image are built and what they made is taken out, so a worker that runs
here has byte for byte the model that the image has. It is kept under a hash of all that goes into those stages; code
that is copied in later stages does not count.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.cloud import buildkit
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.supervisor import Supervisor
from devcloud.images.build import Request, buildctl, run
from devcloud.images.dockerfile_graph import covers
from devcloud.toolchain import some
from devcloud.toolchain.standins import take_docker_hubs_place
from devcloud.util.console import UserError, say, step
from devcloud.util.files import made_whole
from infra.builds import staging
from infra.builds.plan import BuildPlan, plan_builds
from infra.lib.canonical_json import canonical_json
from infra.settings import Settings

STAGE = "prototypes"
"""The last stage of images/worker/Dockerfile that makes something of the model."""
TAKEN_OUT = "FROM scratch\nCOPY --from=exported /out/ /\nCOPY --from=prototypes /made/ /\n"
"""The stage that is put after it, whose files come to this machine: the model and what was embedded with it."""
INSIDE = "opt/model"
"""Where in the image the worker looks for it."""
NEEDED = ("model.json", "prototypes/prototypes.json")
PARTS = ("buildkit", "runc", "docker-registry")


def ensure(cloud: Cloud, settings: Settings) -> Path:
    """Return the folder of a stack's model, built if it is missing. Raise UserError if that fails."""
    plans = plan_builds(settings, ROOT)
    worker = next(plan for name, plan in plans.items() if settings.product.images[name].extra == "models")
    base = plans[worker.parent or worker.image]
    dockerfile = (ROOT / worker.dockerfile).read_text()
    folder = cloud.cache / "models" / key(worker, base.content_tag, dockerfile)
    if not folder.is_dir():
        with step("model", "building the model's stages of the worker's image (once for their inputs)"):
            _build(cloud, base, worker, dockerfile, folder, settings.images.platform)
    return folder / INSIDE


def key(worker: BuildPlan, base_tag: str, dockerfile: str) -> str:
    """A hash of all that goes into the models."""
    steps = extracting(dockerfile)
    sources = copied(steps)
    files = {file.path: file.sha256 for file in worker.files if any(covers(source, file.path) for source in sources)}
    ingredients = {"steps": steps, "files": files, "arguments": dict(worker.build_args), "parent": base_tag}
    return hashlib.sha256(canonical_json(ingredients).encode()).hexdigest()[:16]


def extracting(dockerfile: str) -> str:
    """The worker's Dockerfile, ending in a stage that holds the models and nothing else."""
    return f"{up_to(dockerfile, STAGE)}\n{TAKEN_OUT}"


def up_to(dockerfile: str, stage: str) -> str:
    """A Dockerfile's text up to the end of a stage. Raise UserError if it has none of that name."""
    starts = list(re.finditer(r"^FROM\s+\S+(?:\s+AS\s+(\S+))?\s*$", dockerfile, re.MULTILINE | re.IGNORECASE))
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        if start[1] == stage:
            return dockerfile[: following.start()] if following else dockerfile
    raise UserError(
        f"images/worker/Dockerfile has no stage {stage!r}, out of which `make dev` takes the worker's model."
    )


def copied(dockerfile: str) -> list[str]:
    """The files and folders of the context that a Dockerfile's COPY instructions name."""
    joined = re.sub(r"\\\n\s*", " ", dockerfile)
    found: list[str] = []
    for line in joined.splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not any(word.startswith("--from") for word in words):
            found += [word.removesuffix("/") for word in words[1:-1] if not word.startswith("--")]
    return sorted(set(found))


def _build(cloud: Cloud, base: BuildPlan, worker: BuildPlan, dockerfile: str, folder: Path, platform: str) -> None:
    tools = some(cloud.cache, say, PARTS)
    registry = f"127.0.0.1:{cloud.ports.registry}"
    supervisor = Supervisor(cloud.folder)
    buildkit.write_registry_settings(cloud.folder, cloud.ports.registry)
    buildkit.write_buildkit_settings(cloud.folder, tools["runc"], cloud.buildkit_address, cloud.ports.registry)
    path = f"{tools['buildkitd'].parent}{os.pathsep}{os.environ['PATH']}"
    programs = [
        buildkit.registry(cloud.folder, tools["docker-registry"], cloud.ports.registry),
        buildkit.buildkit(cloud.folder, tools["buildkitd"], path, cloud.buildkit_address),
    ]
    supervisor.stop()  # of a run that was killed
    supervisor.start(programs)
    try:
        supervisor.bring_up(programs)
        take_docker_hubs_place(cloud.cache, tools["buildctl"], cloud.buildkit_address, registry, say)
        reference = f"{registry}/base:{base.content_tag}"
        with staging.staged(base.files, ROOT / base.context):
            _run(tools, cloud, _request(base, f"type=image,name={reference},push=true", platform))
        with made_whole(folder) as draft, staging.staged(worker.files, ROOT / worker.context):
            request = _request(worker, f"type=local,dest={draft}", platform, _exporting(cloud, dockerfile))
            _run(tools, cloud, request, reference)
            missing = [name for name in NEEDED if not (draft / INSIDE / name).exists()]
            if missing:
                raise UserError(
                    f"The stages of images/worker/Dockerfile left no {' and no '.join(missing)} in /{INSIDE}."
                )
    finally:
        supervisor.stop()


def _request(plan: BuildPlan, export: str, platform: str, dockerfile_folder: Path | None = None) -> Request:
    return Request(
        image=plan.image,
        context=ROOT / plan.context,
        dockerfile="Dockerfile" if dockerfile_folder else plan.dockerfile,
        dockerfile_folder=dockerfile_folder,
        build_args=plan.build_args,
        export=export,
        platform=platform,
    )


def _exporting(cloud: Cloud, dockerfile: str) -> Path:
    """A folder with the Dockerfile that BuildKit is given."""
    folder = cloud.folder / "model-build"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(extracting(dockerfile))
    return folder


def _run(tools: Mapping[str, Path], cloud: Cloud, request: Request, parent: str | None = None) -> None:
    metadata = cloud.folder / "metadata.json"
    command = buildctl(request, cloud.buildkit_address, parent, metadata)
    run([str(tools["buildctl"]), *command], {})
