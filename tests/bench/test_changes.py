"""What each scenario changes, in a copy of what it is about."""

import shutil
from pathlib import Path

import pytest
import yaml

from bench import changes
from bench.plan import PLAN, Change
from devcloud.bootstrap import ROOT
from devcloud.util.console import UserError
from infra import settings as settings_module
from infra.builds.plan import plan_builds

COPIED = ("app", "images", "bench/rivals", "product.yaml", "Pulumi.yaml", "Pulumi.local.yaml")
REBUILT = {
    "code-api": {"api"},
    "code-worker": {"worker"},
    "many": {"api"},
    "requirement-api": {"api"},
    "requirement-worker": {"worker"},
    "argument": {"worker"},
    "base": {"base", "worker"},
    "system": {"worker"},
    "empty": {"api"},
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copied(tmp_path / "copy")


@pytest.fixture(scope="module")
def as_committed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tags of a copy that nobody changed."""
    return tags(copied(tmp_path_factory.mktemp("as") / "committed"))


def copied(root: Path) -> Path:
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("node_modules", "__pycache__", "*.wasm")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    return root


def tags(root: Path) -> dict[str, str]:
    settings = settings_module.load_file(root / "Pulumi.local.yaml", "local", root)
    return {image: plan.content_tag for image, plan in plan_builds(settings, root).items()}


def change(root: Path, scenario: str, run: int) -> None:
    """Change a copy as a scenario does."""
    changes.apply(root, PLAN.scenario(scenario).change, run)


@pytest.mark.parametrize("scenario", sorted(REBUILT))
def test_a_change_gives_the_images_that_it_is_about_another_tag_and_no_other(
    as_committed: dict[str, str], copy: Path, scenario: str
) -> None:
    change(copy, scenario, 1)
    after = tags(copy)
    assert {image for image in as_committed if as_committed[image] != after[image]} == REBUILT[scenario]


@pytest.mark.parametrize("scenario", ["code-api", "many", "requirement-api", "argument", "base", "system"])
def test_each_run_changes_something_else(copy: Path, tmp_path: Path, scenario: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    change(copy, scenario, 1)
    change(other, scenario, 2)
    assert tags(copy) != tags(other)


def test_the_line_for_an_empty_builder_is_one_that_no_measurement_pushed_before(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    change(copy, "code-api", 1)
    change(other, "empty", 1)
    assert tags(copy) != tags(other)


def test_the_many_files_are_100_and_10_megabytes_and_alike_everywhere(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    for root in (copy, other):
        change(root, "many", 1)
    files = sorted((copy / "app/api/many").iterdir())
    assert len(files) == 100
    assert sum(file.stat().st_size for file in files) == 10_000_000
    assert files[7].read_bytes() == (other / "app/api/many/007.bin").read_bytes()


def test_the_added_packages_are_in_no_lock(copy: Path) -> None:
    names = [requirement.partition("==")[0] for requirement in PLAN.added_requirements]
    for lock in ROOT.glob("images/*/*.lock"):
        held = {line.partition("==")[0] for line in lock.read_text().splitlines()}
        assert not held.intersection(names), lock


def test_a_system_package_comes_first_in_the_last_stage(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("ARG P\nFROM ${P} AS a\nRUN x\nFROM ${P}\nARG SOURCE_DATE_EPOCH\nCOPY --from=a /out/ /\nUSER 1:1\n")
    changes.add_system_package(file, "tini")
    lines = file.read_text().splitlines()
    assert lines[3:6] == ["FROM ${P}", "ARG SOURCE_DATE_EPOCH", "USER 0:0"]
    assert "apt-get install" in lines[6]
    assert " tini " in lines[6]
    assert lines[7:] == ["COPY --from=a /out/ /", "USER 1:1"]


def test_a_text_without_a_stage_gets_no_system_package(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("ARG X\n")
    with pytest.raises(UserError, match="has no stage"):
        changes.add_system_package(tmp_path / "Dockerfile", "tini")


def test_the_rivals_whose_dockerfiles_are_changed_are_there() -> None:
    dockerfiles = PLAN.scenario("system").change.system_package
    assert len([name for name in dockerfiles if name.startswith("bench/rivals/")]) == 2
    assert all((ROOT / name).is_file() for name in dockerfiles)


def test_the_other_model_is_of_random_weights_in_bert_base_s_shape(copy: Path) -> None:
    local, other = PLAN.models
    assert local.use is None
    assert other.use is not None
    changes.use_model(copy, other.use)
    (model,) = yaml.safe_load((copy / "Pulumi.local.yaml").read_text())["config"]["slipway:images"]["models"]
    assert model == {"name": other.name, "source": "random", "reference": "bert-base", "revision": "1"}


def test_another_model_has_another_seed_in_each_run(copy: Path) -> None:
    seeds = []
    for run in (1, 2):
        change(copy, "model", run)
        (model,) = yaml.safe_load((copy / "Pulumi.local.yaml").read_text())["config"]["slipway:images"]["models"]
        seeds.append((model["name"], model["revision"]))
    assert seeds == [("another-random-1", "1001"), ("another-random-2", "1002")]


def test_no_change_leaves_the_checkout_as_it_is(as_committed: dict[str, str], copy: Path) -> None:
    changes.apply(copy, Change(), 1)
    assert tags(copy) == as_committed
