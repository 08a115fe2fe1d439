"""Export the worker's models to this machine: BuildKit builds the stage `model` of the worker's Dockerfile, once.

A worker that runs here has the same bytes as the image. The folder is named by a hash of everything that the stage is
made of, so code that only later stages copy does not count.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.cloud import buildkit
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.supervisor import Supervisor
from devcloud.images import dockerfile_graph
from devcloud.images.build import Request, buildctl, run
from devcloud.toolchain import some
from devcloud.toolchain.standins import take_docker_hubs_place
from devcloud.util.console import UserError, say, step
from devcloud.util.files import made_whole
from infra.builds import staging
from infra.builds.plan import PARENT_ARGUMENT, BuildPlan, plan_builds
from infra.lib.canonical_json import canonical_json
from infra.settings import Settings

TARGET = "model"
"""The stage that holds the files of the models and nothing else."""
INSIDE = "opt/model"
"""The folder in the image where the worker looks for its model."""
NEEDED = ("model.json", "prototypes/prototypes.json")
PARTS = ("buildkit", "runc", "docker-registry")


def ensure(cloud: Cloud, settings: Settings) -> Path:
    """Return the folder of a stack's model, built if it is missing. Raise UserError if that fails."""
    plans = plan_builds(settings, ROOT)
    worker = next(plan for name, plan in plans.items() if settings.product.images[name].extra == "models")
    base = plans[worker.parent or worker.image]
    folder = cloud.cache / "models" / key(worker, base.content_tag)
    if not folder.is_dir():
        with step("model", "building the model's stages of the worker's image (once for their inputs)"):
            _build(cloud, base, worker, folder, settings.images.platform)
    return folder / INSIDE


def key(worker: BuildPlan, base_tag: str) -> str:
    """Return a hash of everything that the stage is made of: its steps, their build arguments and their files."""
    arguments = {**worker.build_args, PARENT_ARGUMENT: base_tag}
    stage = dockerfile_graph.read(ROOT / worker.dockerfile, arguments, TARGET)
    ingredients = {
        "steps": [step.text for step in stage.steps],
        "arguments": dict(stage.arguments),
        "files": {file.path: file.sha256 for file in worker.files if stage.readers(file.path)},
    }
    return hashlib.sha256(canonical_json(ingredients).encode()).hexdigest()[:16]


def _build(cloud: Cloud, base: BuildPlan, worker: BuildPlan, folder: Path, platform: str) -> None:
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
        _run(cloud, tools, base, request(base, platform, f"type=image,name={reference},push=true"))
        with made_whole(folder) as draft:
            export = f"type=local,dest={draft}"
            _run(cloud, tools, worker, request(worker, platform, export, TARGET), reference)
            missing = [name for name in NEEDED if not (draft / INSIDE / name).exists()]
            if missing:
                raise UserError(
                    f"The stage {TARGET} of {worker.dockerfile} has no {' and no '.join(missing)} in /{INSIDE}."
                )
    finally:
        supervisor.stop()


def request(plan: BuildPlan, platform: str, export: str, target: str | None = None) -> Request:
    """Return the build of a stage of an image, or of the image."""
    return Request(
        image=plan.image,
        context=ROOT / plan.context,
        dockerfile=plan.dockerfile,
        build_args=plan.build_args,
        export=export,
        platform=platform,
        target=target,
    )


def _run(cloud: Cloud, tools: Mapping[str, Path], plan: BuildPlan, build: Request, parent: str | None = None) -> None:
    """Build from the plan's context, which is staged until the build ends."""
    metadata = cloud.folder / "metadata.json"
    command = buildctl(build, cloud.buildkit_address, parent, metadata)
    with staging.staged(plan.files, build.context):
        run([str(tools["buildctl"]), *command], {})
