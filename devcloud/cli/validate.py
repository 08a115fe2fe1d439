"""`make validate`: settings, locks, Dockerfiles and contexts, checked without building anything."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from devcloud.bootstrap import ROOT
from devcloud.cli.context import Command, cli
from devcloud.cloud.services import BUILDER
from devcloud.pulumi import stack_config
from devcloud.util.console import MachineError, row, say
from devcloud.util.processes import output, traced
from images.lock import LOCKS
from infra import generate
from infra import settings as settings_module
from infra.builds import base_version, buildx
from infra.builds.content import ContentError
from infra.builds.plan import MIB, BuildPlan, plan_builds
from infra.product import ProductError, product_of
from infra.releases.release import ReleaseError, read_release_file
from infra.settings import Settings, SettingsError
from infra.settings.images import Images
from infra.settings.models import key_of_secret
from infra.settings.stack_file import read_values

# Rules of hadolint that do not hold here, each with its reason.
HADOLINT_IGNORED = (
    "DL3006",  # a parent is a build argument, whose tag and digest are in the settings
    "DL3013",  # versions are in locks
    "DL3042",  # pip's cache is a cache mount: it is on purpose, and in no layer
)


@cli.command()
def validate(command: Command) -> int:
    """Check settings, locks, Dockerfiles, contexts; build nothing."""
    try:
        product_of()
    except ProductError as error:
        say(str(error))
        return 1
    problems: list[str] = []
    for stack in stack_config.stacks():
        try:
            _committed(stack)
            settings = settings_module.load_file(stack_config.config_file(command.cloud, stack), stack)
            plans = _plans(settings) if settings.images.builds else {}
        except (SettingsError, ContentError, ReleaseError) as error:
            problems += [f"Pulumi.{stack}.yaml: {line}" for line in str(error).splitlines()]
            continue
        sizes = ", ".join(
            f"{image} {sum(file.size for file in plan.files) / MIB:.1f} MiB ({_tag(plan, settings)})"
            for image, plan in plans.items()
        )
        row(stack, f"settings are right; contexts: {sizes}" if plans else "settings are right; builds nothing")
    problems += dockerfiles() + _locks() + _documents()
    if problem := base_version.problem(ROOT):
        problems.append(problem)
    elif image := product_of().versioned_image:
        row("version", f"images/{image} is what its version {base_version.read(ROOT)} says")
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problem(s)" if problems else "nothing is wrong")
    return 1 if problems else 0


def _committed(stack: str) -> None:
    """Check a stack's committed settings, and the release file that they name.

    A secret that nobody has set yet is no problem here: a new team sets its own before its first `up`, which asks.
    """
    file = stack_config.committed_file(stack)
    project = stack_config.project()
    values, encrypted = read_values(file, project)
    unset = {f"{project}:{key_of_secret(name)}" for name in product_of().secrets} - values.keys() - encrypted
    if unset:
        row(stack, f"not set yet: {', '.join(sorted(unset))}; `pulumi up` will ask for them")
    settings = settings_module.load_file(file, stack, unset=unset)
    if not settings.images.builds:
        release = ROOT / settings.images.source
        if release.exists():
            read_release_file(release, product_of().images)
        else:
            row(stack, f"{settings.images.source} is not there yet: `make promote FROM=<stack> TO={stack}` writes it")


def _documents() -> list[str]:
    """Return the generated files that are not current."""
    stale = generate.stale()
    if not stale:
        row("docs", f"{', '.join(generate.files())} are what product.yaml and the settings say")
    return [f"{path} is not what its source says: run `make generate`." for path in stale]


def _plans(settings: Settings) -> dict[str, BuildPlan]:
    """The builds, as far as they are known without the registry."""
    return plan_builds(settings, ROOT, base_version.unresolved(settings))


def _tag(plan: BuildPlan, settings: Settings) -> str:
    """A content tag, where it can be known without the registry."""
    if plan.parent in base_version.unresolved(settings):
        return f"tag by the digest of {plan.parent} {settings.images.base_version}"
    return plan.content_tag


def dockerfiles() -> list[str]:
    """What hadolint has to say of the Dockerfiles, but for the rules that do not hold here."""
    problems = []
    for image in product_of().images:
        file = f"images/{image}/Dockerfile"
        found = hadolint(file)
        problems += found
        if not found:
            row(image, f"{file} follows hadolint's rules")
    return problems


def hadolint(file: str) -> list[str]:
    """What hadolint has to say of one Dockerfile, whose path is relative to the repository."""
    ignored = [argument for rule in HADOLINT_IGNORED for argument in ("--ignore", rule)]
    done = subprocess.run(
        traced(["hadolint", "--no-color", *ignored, file]), cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = [line for line in (done.stdout + done.stderr).splitlines() if line]
    return found or ([f"{file}: hadolint failed (exit {done.returncode})."] if done.returncode else [])


def _locks() -> list[str]:
    problems = []
    for lock in LOCKS:
        text = (ROOT / lock.path).read_text() if (ROOT / lock.path).exists() else ""
        if text.partition("\n")[0] != lock.header():
            problems.append(f"{lock.path} was not made from {lock.source} as it is now: run `make lock`.")
        problems += _unhashed(lock.path, text)
    problems += _unhashed("requirements.lock", (ROOT / "requirements.lock").read_text())
    if not problems:
        row("locks", f"{len(LOCKS)} locks of images are made from their inputs as they are; every pin has its hashes")
    return problems


def _unhashed(path: str, text: str) -> list[str]:
    """The pins of a lock that no hash follows: what is installed under them could be anything."""
    entries = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    bare = [entry.split()[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]
    return [f"{path} pins {pin} without a hash: run `make lock`." for pin in bare]


def make_builder(file: Path) -> None:
    """Make the buildx builder that a stack's settings name. Raise MachineError if Docker or buildx is missing."""
    config = yaml.safe_load(file.read_text()).get("config") or {}
    images = config.get(stack_config.key("images")) or {}
    if images.get("source", "build") != "build":
        say(f"{file.name} takes its images from {images['source']} and builds nothing: it needs no builder")
        return
    name = images.get("builder", Images().builder)
    if name == BUILDER:
        say(f"builder {name} is the BuildKit of the cloud on this machine: `make up` starts it")
        return
    try:
        buildx.check(stack_config.project(), name, os.environ)
        say(f"builder {name} is there")
        return
    except buildx.BuilderError:
        pass
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(traced([docker, "buildx", "version"]), capture_output=True, check=False).returncode
    ):
        raise MachineError(
            f"The builder {name} needs Docker with its buildx plugin, and this machine has none: install Docker, "
            "or use the cloud on this machine, which brings a builder of its own (`make up`)."
        )
    output([docker, "buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"], timeout=300)
    say(f"builder {name} is made")
