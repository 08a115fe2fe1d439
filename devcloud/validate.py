"""`make validate`: settings, locks, Dockerfiles and contexts, checked without building anything."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from devcloud import rehearsal
from devcloud.bootstrap import ROOT
from devcloud.cloud import Cloud
from devcloud.console import Refusal, row, say
from devcloud.process import output
from images.lock import LOCKS
from infra import settings as settings_module
from infra.lib import base_version, builder
from infra.lib.build_plan import MIB, RECIPES, BuildPlan, plan_builds
from infra.lib.content import ContentError
from infra.settings import Settings, SettingsError

# Rules of hadolint that do not hold here, each with its reason.
HADOLINT_IGNORED = (
    "DL3006",  # a parent is a build argument, whose tag and digest are in the settings
    "DL3013",  # versions are in locks
    "DL3042",  # pip's cache is a cache mount: it is on purpose, and in no layer
)


def run(cloud: Cloud) -> int:
    """Check everything; the number of problems, each printed as a sentence."""
    problems: list[str] = []
    for stack in rehearsal.stacks():
        try:
            settings = settings_module.load_file(rehearsal.config_file(cloud, stack), stack)
            plans = plan_builds(settings, ROOT, _taken(settings)) if settings.images.builds else {}
        except (SettingsError, ContentError) as error:
            problems += [f"Pulumi.{stack}.yaml: {line}" for line in str(error).splitlines()]
            continue
        sizes = ", ".join(
            f"{image} {sum(file.size for file in plan.files) / MIB:.1f} MiB ({_tag(plan, settings)})"
            for image, plan in plans.items()
        )
        row(stack, f"settings are right; contexts: {sizes}" if plans else "settings are right; builds nothing")
    problems += dockerfiles() + _locks()
    if problem := base_version.problem(ROOT):
        problems.append(problem)
    else:
        row("base", f"images/base is what its version {base_version.read(ROOT)} says")
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problem(s)" if problems else "nothing is wrong")
    return 1 if problems else 0


def _taken(settings: Settings) -> dict[str, str]:
    """Images that are not built, by what stands for their digests: those only the registry knows."""
    version = settings.images.base_version
    return {} if version is None else {base_version.IMAGE: version}


def _tag(plan: BuildPlan, settings: Settings) -> str:
    """A content tag, where it can be known without the registry."""
    if plan.parent in _taken(settings):
        return f"tag by the digest of {plan.parent} {settings.images.base_version}"
    return plan.content_tag


def dockerfiles() -> list[str]:
    """What hadolint has to say of the Dockerfiles, but for the rules that do not hold here."""
    problems = []
    for image in RECIPES:
        ignored = [argument for rule in HADOLINT_IGNORED for argument in ("--ignore", rule)]
        file = f"images/{image}/Dockerfile"
        done = subprocess.run(["hadolint", *ignored, file], cwd=ROOT, capture_output=True, text=True, check=False)
        problems += [line for line in (done.stdout + done.stderr).splitlines() if line]
        if done.returncode == 0:
            row(image, f"{file} follows hadolint's rules")
    return problems


def _locks() -> list[str]:
    problems = []
    for lock in LOCKS:
        first_line = (ROOT / lock.path).read_text().partition("\n")[0]
        if first_line != lock.header():
            problems.append(f"{lock.path} was not made from {lock.source} as it is now: run `make lock`.")
    if not problems:
        row("locks", f"{len(LOCKS)} locks of images are made from their inputs as they are")
    return problems


def make_builder(file: Path) -> None:
    """Make the buildx builder that a stack's settings name. Raises Refusal where Docker or buildx is missing."""
    config = yaml.safe_load(file.read_text()).get("config") or {}
    name = (config.get("slipway:images") or {}).get("builder")
    if name is None:
        say(f"{file.name} names no builder: buildx's current one is used; nothing to make")
        return
    try:
        builder.check(name, os.environ)
        say(f"builder {name} is there")
        return
    except builder.BuilderError:
        pass
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "buildx", "version"], capture_output=True, check=False).returncode:
        raise Refusal(
            f"The builder {name} needs Docker with its buildx plugin, and this machine has none: install Docker, "
            "or use the cloud on this machine, which brings a builder of its own (`make up`)."
        )
    output(
        [docker, "buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"],
        timeout=300,
    )
    say(f"builder {name} is made")
