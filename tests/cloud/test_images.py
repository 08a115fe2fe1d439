"""The images as they were pushed: what is in them, what is not, and that they run with no more than they need."""

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcloud.cloud.docker import Container
from devcloud.images.dockerfile_graph import read
from devcloud.images.report import fetch, own_layers
from infra import settings
from infra.builds.plan import PARENT_ARGUMENT, plan_builds
from infra.outputs import parse
from infra.product import product_of
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

STRUCTURE = Path(__file__).resolve().parents[1] / "images" / "structure"
IMAGES = list(product_of().images)
RUN = [image for image in IMAGES if image != "base"]
EACH = pytest.mark.parametrize("image", IMAGES)
EACH_THAT_RUNS = pytest.mark.parametrize("image", RUN)
BINARIES = r"(^|/)s?bin/"
FORBIDDEN = {
    "torch": r"(^|/)(torch|torchvision|torchaudio|triton)(-[^/]*\.dist-info)?/",
    "CUDA": r"(^|/)(nvidia|cuda[^/]*)/|/lib(cuda|cudart|cublas|cudnn|cufft|nccl|nvrtc)[^/]*\.so",
    "transformers": r"(^|/)(transformers|sentence_transformers)(-[^/]*\.dist-info)?/",
    "a compiler": BINARIES
    + r"((x86_64-linux-gnu-)?(gcc|g\+\+|cc|c\+\+|cpp|ld|as)(-[\d.]+)?|clang|make|cmake|rustc|go|node)$",
    "an installer's cache": r"(^|/)(\.cache|\.npm)/|(^|/)cache/(uv|npm|pip)/|var/cache/apt/archives/.*\.deb$",
    "an installer of the build": r"^(opt/uv|build)(/|$)",
    "a test": r"^opt/(.*/)?tests?/|^srv/(.*/)?(tests?/|test_[^/]*\.py$|conftest\.py$)",
    "a secret": r"(^|/)(\.netrc|\.npmrc|\.pypirc|\.env|\.git-credentials|id_(rsa|ed25519)|hf_token)$|^run/secrets/",
}
"""What no image that runs may hold, by a pattern of its files' paths."""
NOT_IN_THE_API = {
    "ONNX Runtime": r"(^|/)onnxruntime[^/]*/",
    "numpy": r"(^|/)numpy/",
    "a model": r"\.(onnx|safetensors|gguf|pt|pth|h5)$|^opt/models?/",
    "the worker": r"^srv/app/worker/",
}
PRIVATE_KEY = re.compile(rb"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----")
FIRST_BYTES = 64


@pytest.fixture(scope="module")
def files(checkout: Checkout, first_up: object) -> dict[str, dict[str, bytes]]:
    """The files of every image that runs, with their first bytes: by image, then by path."""
    return {image: dict(exported(checkout, checkout.outputs()["images"][image])) for image in RUN}


def exported(checkout: Checkout, reference: str) -> Iterator[tuple[str, bytes]]:
    """Every file of an image, and its first bytes; nothing of it is run."""
    checkout.engine.pull(reference)
    created = checkout.docker("create", reference)
    assert created.code == 0, created.said
    name = created.said.split()[-1]
    docker = [str(checkout.tools.docker), "export", name]
    try:
        with (
            subprocess.Popen(docker, env=checkout.docker_environment(), stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                yield member.name.removeprefix("./"), content.read(FIRST_BYTES) if content else b""
    finally:
        checkout.docker("rm", "--force", name)


def found(pattern: str, paths: dict[str, bytes]) -> list[str]:
    return [path for path in paths if re.search(pattern, path)]


@EACH_THAT_RUNS
@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_runs_carries_nothing_of_how_it_was_made(
    files: dict[str, dict[str, bytes]], image: str, what: str
) -> None:
    assert found(FORBIDDEN[what], files[image]) == []


@pytest.mark.parametrize("what", NOT_IN_THE_API)
def test_the_api_carries_nothing_of_the_worker(files: dict[str, dict[str, bytes]], what: str) -> None:
    assert found(NOT_IN_THE_API[what], files["api"]) == []


@EACH_THAT_RUNS
def test_no_private_key_is_in_an_image(files: dict[str, dict[str, bytes]], image: str) -> None:
    assert [path for path, first in files[image].items() if PRIVATE_KEY.match(first)] == []


@EACH_THAT_RUNS
def test_the_value_of_no_secret_is_in_an_images_configuration(up: Checkout, image: str) -> None:
    described = up.docker("image", "inspect", up.outputs()["images"][image]).said
    for secret in ("local-dummy-key", "slipway:slipway@"):
        assert secret not in described


@EACH_THAT_RUNS
def test_no_layer_of_the_base_is_in_what_runs(up: Checkout, image: str) -> None:
    outputs = up.outputs()
    base = fetch(up.registry, "base", parse("local", outputs))
    own = own_layers(base.layers, read(up.root / "images/base/Dockerfile", {}))
    assert own
    toolchain = {layer.digest for layer in base.layers if layer.number in own}
    assert not toolchain & {layer.digest for layer in fetch(up.registry, image, parse("local", outputs)).layers}


@EACH
def test_an_image_has_a_numeric_user_who_is_not_root(up: Checkout, image: str) -> None:
    config = fetch(up.registry, image, parse("local", up.outputs())).config["config"]
    user, _, group = config["User"].partition(":")
    assert user.isdigit()
    assert int(user) > 0
    assert group.isdigit()


@EACH
def test_an_image_is_within_its_budget(up: Checkout, image: str) -> None:
    outputs = up.outputs()
    up.engine.pull(outputs["images"][image])
    size = int(up.docker("image", "inspect", "--format", "{{.Size}}", outputs["images"][image]).said)
    if image == "base" and not (up.root.parent / "shared" / "wheels").is_dir():
        pytest.skip("the base is built with the package registry's PyTorch, whose CUDA no budget holds")
    assert size < outputs["sizeBudgetsMb"][image] * 1_000_000


# What shows that an image runs: its command (None: its own), and what it then says.
RUNS: dict[str, tuple[list[str] | None, dict[str, str], str]] = {
    "base": (["-c", "import torch; print(torch.ones(2).sum())"], {}, "tensor(2.)"),
    "worker": (["--self-test"], {}, ""),
    "api": (None, {"SERVICE_TYPE": "nobody"}, "nobody"),
    "web": (None, {}, ""),
}


@EACH
def test_an_image_runs_with_a_root_that_nobody_writes_to_and_without_any_capability(up: Checkout, image: str) -> None:
    command, environment, expected = RUNS[image]
    reference = up.outputs()["images"][image]
    up.engine.pull(reference)
    name = f"{up.cloud.network}-bare-{image}"
    arguments = ["run", "--name", name, "--detach", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]
    arguments += ["--security-opt", "no-new-privileges", "--label", f"slipway.cloud={up.cloud.name}"]
    arguments += [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
    try:
        started = up.docker(*arguments, reference, *(command or []))
        assert started.code == 0, started.said
        if image == "web":
            # It stays; what its own health check asks is answered.
            check = ["/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/health"]
            answers = (up.docker("exec", name, *check) for _ in range(50))
            assert any(answer.code == 0 and "ok" in answer.said for answer in answers), up.docker("logs", name).said
        else:
            code = up.docker("wait", name).said.strip()
            said = up.docker("logs", name).said
            assert code == ("2" if image == "api" else "0"), said
            assert expected in said
            assert "Read-only file system" not in said
            assert "Traceback" not in said
            assert "telemetry" not in said.lower()
    finally:
        up.docker("rm", "--force", name)


def test_every_library_of_the_base_computes_what_it_should(up: Checkout) -> None:
    script = (Path(__file__).parent / "libraries.py").read_text()
    reference = up.outputs()["images"]["base"]
    up.engine.pull(reference)
    name = f"{up.cloud.network}-libraries"
    up.engine.remove(name)
    # Its user has no home; what looks for one finds the folder that may be written to.
    container = Container(name, reference, {"HOME": "/tmp"}, ["-c", script])
    said = up.engine.run(container, detach=False, timeout=300)
    assert said.rstrip().endswith("right")


@EACH
def test_container_structure_test_has_nothing_to_say(up: Checkout, image: str) -> None:
    reference = up.outputs()["images"][image]
    up.engine.pull(reference)
    # It knows an image by its name alone.
    tag = f"slipway-structure/{image}:{up.cloud.name}"
    assert up.docker("tag", reference, tag).code == 0
    command = ["container-structure-test", "test", "--no-color", "--image", tag, "--config"]
    try:
        done = subprocess.run(
            [*command, str(STRUCTURE / f"{image}.yaml")],
            env=up.docker_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        up.docker("rmi", tag)
    assert done.returncode == 0, done.stdout + done.stderr


def lint(up: Checkout, folder: Path, dockerfile: str, arguments: dict[str, str]) -> str:
    """Return what BuildKit's own checks say of a Dockerfile."""
    return up.ask_buildkit("frontend.lint", folder, dockerfile, arguments).strip()


@EACH
def test_buildkits_own_checks_have_nothing_to_say(up: Checkout, image: str) -> None:
    plan = plan_builds(settings.load_file(up.root / "Pulumi.local.yaml", "local", up.root), up.root)[image]
    arguments = dict(plan.build_args)
    if plan.parent:
        arguments[PARENT_ARGUMENT] = up.outputs()["images"][plan.parent]
    assert lint(up, up.root / plan.context, plan.dockerfile, arguments) == ""


def test_buildkits_checks_do_say_what_is_wrong(up: Checkout, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch AS one\nfrom one\n")
    assert "ConsistentInstructionCasing" in lint(up, tmp_path, "Dockerfile", {})


def test_a_report_explains_every_image(up: Checkout) -> None:
    done = subprocess.run(
        up.call("report"), cwd=up.root, env=up.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    outputs: dict[str, Any] = up.outputs()
    for image in IMAGES:
        assert f"# {image}\n" in done.stdout
        assert outputs["digests"][image] in done.stdout
    assert "| `images/api/requirements.lock` " in done.stdout
