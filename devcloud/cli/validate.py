"""`make validate`: check settings, locks, Dockerfiles and build contexts, without building anything."""

import re
import subprocess
from collections.abc import Iterator

from devcloud.bootstrap import ROOT
from devcloud.cli.context import Command, cli
from devcloud.pulumi import stack_config
from devcloud.util.console import row, say
from devcloud.util.processes import traced
from images.lock import LOCKS
from infra import generate
from infra.builds import base_version
from infra.builds.plan import MIB, plan_builds
from infra.lib.errors import InputError
from infra.product import product_of
from infra.releases.release import read_release_file
from infra.settings import Settings, load_file

HADOLINT_IGNORED = (
    "DL3006",  # an image to build on is a build argument, whose tag and digest are in the settings
    "DL3013",  # versions are in locks
    "DL3042",  # pip's cache is a cache mount, which is in no layer
)
"""Rules of hadolint that do not apply here."""


@cli.command()
def validate(command: Command) -> int:
    """Check settings, locks, Dockerfiles, contexts; build nothing."""
    product_of()  # alone, if it is wrong: everything else is read by it
    problems: list[str] = []
    for stack in stack_config.stacks():
        try:
            _check_committed(stack)
            settings = load_file(stack_config.config_file(command.cloud, stack), stack)
            contexts = ", ".join(_contexts(settings)) if settings.images.builds else ""
        except InputError as error:
            problems += [f"Pulumi.{stack}.yaml: {line}" for line in str(error).splitlines()]
        else:
            row(stack, f"settings are right; {f'contexts: {contexts}' if contexts else 'builds nothing'}")
    problems += dockerfiles() + _locks() + _generated()
    if problem := base_version.problem(ROOT):
        problems.append(problem)
    elif image := product_of().versioned_image:
        row("version", f"images/{image} is what its version {base_version.read(ROOT)} says")
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problem(s)" if problems else "nothing is wrong")
    return 1 if problems else 0


def _check_committed(stack: str) -> None:
    """Check a stack's committed settings, and the release file that they name.

    A secret that is not set is no problem here: a new team sets its own before its first `up`, which asks for them.
    """
    file = stack_config.committed_file(stack)
    unset = stack_config.unset_secrets(stack)
    if unset:
        row(stack, f"not set yet: {', '.join(sorted(unset))}; `pulumi up` will ask for them")
    settings = load_file(file, stack, unset=unset)
    if not settings.images.builds:
        release = ROOT / settings.images.source
        if release.exists():
            read_release_file(release, product_of().images)
        else:
            row(stack, f"{settings.images.source} is not there yet: `make promote FROM=<stack> TO={stack}` writes it")


def _contexts(settings: Settings) -> Iterator[str]:
    """Yield the size and the tag of each build context, as far as they are known without the registry."""
    pinned = base_version.unresolved(settings)
    for image, plan in plan_builds(settings, ROOT, pinned).items():
        size = sum(file.size for file in plan.files) / MIB
        tag = f"tag by the digest of {plan.parent} {pinned[plan.parent]}" if plan.parent in pinned else plan.content_tag
        yield f"{image} {size:.1f} MiB ({tag})"


def dockerfiles() -> list[str]:
    """Return hadolint's findings in the Dockerfiles of the product's images."""
    problems = []
    for image in product_of().images:
        file = f"images/{image}/Dockerfile"
        found = hadolint(file)
        problems += found
        if not found:
            row(image, f"{file} follows hadolint's rules")
    return problems


def hadolint(file: str) -> list[str]:
    """Return hadolint's findings in one Dockerfile, whose path is relative to the repository."""
    ignored = [argument for rule in HADOLINT_IGNORED for argument in ("--ignore", rule)]
    done = subprocess.run(
        traced(["hadolint", "--no-color", *ignored, file]), cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = [line for line in (done.stdout + done.stderr).splitlines() if line]
    return found or ([f"{file}: hadolint failed (exit {done.returncode})."] if done.returncode else [])


def _locks() -> list[str]:
    """Return the locks that are older than their inputs, and the pins without a hash."""
    problems = _unhashed("requirements.lock")
    for lock in LOCKS:
        exists = (ROOT / lock.path).exists()
        if not exists or (ROOT / lock.path).read_text().partition("\n")[0] != lock.header():
            problems.append(f"{lock.path} was not made from {lock.source} as it is now: run `make lock`.")
        problems += _unhashed(lock.path) if exists else []
    if not problems:
        row("locks", f"{len(LOCKS)} locks of images are made from their inputs as they are; every pin has its hashes")
    return problems


def _unhashed(path: str) -> list[str]:
    """Return the pins of a lock that no hash follows: anything could be installed for them."""
    text = re.sub(r"^\s*#.*$", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    bare = [entry.split()[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]
    return [f"{path} pins {pin} without a hash: run `make lock`." for pin in bare]


def _generated() -> list[str]:
    """Return the generated files that are not current."""
    stale = generate.stale()
    if not stale:
        row("docs", f"{', '.join(generate.files())} are what product.yaml and the settings say")
    return [f"{path} is not what its source says: run `make generate`." for path in stale]
