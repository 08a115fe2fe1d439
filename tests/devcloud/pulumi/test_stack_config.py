"""A rehearsal's settings: a stack's own, but for what only the world outside has."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.pulumi import stack, stack_config
from devcloud.toolchain import database_standins
from devcloud.util.console import UserError
from infra.lib.errors import InputError
from infra.lib.yaml_file import read_mapping
from infra.settings.loading import UPSTREAM

LOCAL: dict[str, Any] = {
    "config": {
        "slipway:accountId": "123456789012",
        "slipway:databasePassword": "local-dummy-password",
        "slipway:openaiApiKey": "local-dummy-key",
        "slipway:registry": {"namespace": "slipway-local"},
        "slipway:images": {"builder": "slipway-local", "compression": "gzip", "torch": {"source": "wheels"}},
    }
}


def test_a_rehearsal_keeps_the_stacks_own_settings() -> None:
    dev = {"config": {"slipway:region": "eu-west-1", "slipway:registry": {"owner": "dev"}}}
    config = stack_config.rehearsed(dev, LOCAL, "dev")["config"]
    assert config["slipway:region"] == "eu-west-1"
    assert config["slipway:registry"] == {"owner": "dev"}


def test_a_rehearsal_builds_from_what_this_machine_has() -> None:
    pinned = {"python": "python:3.11-slim@sha256:" + "a" * 64}
    theirs = {"torch": {"source": "cpu-index"}, "parents": pinned, "sizeBudgetMb": {"api": 250}}
    dev = {"config": {"slipway:images": theirs}}
    images = stack_config.rehearsed(dev, LOCAL, "dev")["config"]["slipway:images"]
    assert images == {
        "sizeBudgetMb": {"api": 250},
        "builder": "slipway-local",
        "compression": "gzip",
        "torch": {"source": "wheels"},
    }


def test_a_rehearsal_of_a_release_builds_nothing_still() -> None:
    prod = {"config": {"slipway:images": {"source": "releases/prod.json"}}}
    assert stack_config.rehearsed(prod, LOCAL, "prod")["config"]["slipway:images"] == {"source": "releases/prod.json"}


def test_a_rehearsal_holds_no_real_secret_and_no_real_key() -> None:
    dev = {
        "secretsprovider": "awskms://alias/slipway",
        "encryptedkey": "c2VjcmV0",
        "config": {"slipway:openaiApiKey": {"secure": "v1:abc"}, "slipway:accountId": "999999999999"},
    }
    copy = stack_config.rehearsed(dev, LOCAL, "dev")
    assert copy.keys() == {"config"}
    assert copy["config"]["slipway:openaiApiKey"] == "local-dummy-key"
    assert copy["config"]["slipway:accountId"] == "123456789012"


def test_a_rehearsal_has_not_the_domain_of_the_real_host() -> None:
    host = {"domain": "labs.example.com", "acmeDirectory": "https://ca.example.com/dir", "instanceType": "t3.small"}
    copy = stack_config.rehearsed({"config": {"slipway:host": host}}, LOCAL, "prod")
    assert copy["config"]["slipway:host"] == {"instanceType": "t3.small"}


def test_each_stack_has_a_database_of_its_own() -> None:
    config = stack_config.rehearsed({}, LOCAL, "dev")["config"]
    assert config["slipway:databaseUrl"].endswith(":5432/slipway_dev")
    assert config["slipway:redisUrl"] == "redis://host.docker.internal:6379/0"
    assert "slipway:databasePassword" not in config


def test_a_stack_with_databases_on_its_host_is_rehearsed_with_them() -> None:
    dev = {"config": {"slipway:databasePassword": {"secure": "v1:abc"}}}
    config = stack_config.rehearsed(dev, LOCAL, "dev")["config"]
    assert config["slipway:databasePassword"] == "local-dummy-password"
    assert not {"slipway:databaseUrl", "slipway:redisUrl"} & config.keys()


def test_a_database_that_a_stack_manages_is_the_clouds_own_in_a_rehearsal() -> None:
    dev = {"config": {"slipway:databasePassword": {"secure": "v1:a"}, "slipway:redisUrl": {"secure": "v1:b"}}}
    config = stack_config.rehearsed(dev, LOCAL, "dev")["config"]
    assert config["slipway:redisUrl"] == "redis://host.docker.internal:6379/0"
    assert "slipway:databaseUrl" not in config


def test_a_host_runs_the_stand_ins_that_its_cloud_has(tmp_path: Path) -> None:
    cloud = Cloud("default", tmp_path)
    registry = f"127.0.0.1:{cloud.ports.registry}"
    for number, standin in enumerate(database_standins.of(tmp_path)):
        standin.mark.parent.mkdir(parents=True)
        standin.mark.write_text(json.dumps({registry: f"sha256:{number:064x}", "127.0.0.1:1": "sha256:other"}))
    parents = json.loads(stack_config.stand_ins(cloud)[UPSTREAM])
    place = f"{cloud.registry_address}/ecr-public/docker/library"
    assert parents == {
        "postgres": f"{place}/postgres:15-bookworm@sha256:{0:064x}",
        "redis": f"{place}/redis:7.0-bookworm@sha256:{1:064x}",
    }


def test_a_cloud_that_never_started_has_no_stand_ins(tmp_path: Path) -> None:
    assert stack_config.stand_ins(Cloud("default", tmp_path)) == {}


def test_a_copy_stands_in_the_cache_and_keeps_its_salt(tmp_path: Path) -> None:
    cloud = Cloud("default", tmp_path)
    copy = stack_config.config_file(cloud, "dev")
    assert copy.is_relative_to(tmp_path)
    copy.write_text(copy.read_text() + "encryptionsalt: v1:abc\n")
    assert yaml.safe_load(stack_config.config_file(cloud, "dev").read_text())["encryptionsalt"] == "v1:abc"


def test_the_local_stack_runs_from_its_committed_file(tmp_path: Path) -> None:
    assert stack_config.config_file(Cloud("default", tmp_path), "local") == ROOT / "Pulumi.local.yaml"


def test_an_unpinned_copy_builds_the_base_and_is_else_the_same(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    document = {"config": {"slipway:images": {"baseVersion": "1.2.0", "compression": "gzip"}}, "encryptionsalt": "v1:a"}
    file.write_text(yaml.safe_dump(document))
    copy = stack_config.unpinned_file(Cloud("default", tmp_path), file)
    assert yaml.safe_load(copy.read_text()) == {
        "config": {"slipway:images": {"compression": "gzip"}},
        "encryptionsalt": "v1:a",
    }
    assert yaml.safe_load(file.read_text()) == document


def test_a_stack_without_a_file_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(
        UserError, match=r"STACK='nowhere' has no settings file: write Pulumi\.nowhere\.yaml.*dev.*prod"
    ):
        stack_config.committed_file("nowhere")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout of which nothing is there but its settings."""
    monkeypatch.setattr(stack_config, "ROOT", tmp_path)
    for name, text in {"Pulumi.yaml": "name: slipway", "Pulumi.local.yaml": "", "Pulumi.dev.yaml": ""}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_rehearsal_reads_yaml_as_pulumi_does(checkout: Path) -> None:
    (checkout / "Pulumi.dev.yaml").write_text("config:\n  slipway:jobs: {owner: yes, window: 1:30}\n")
    copy = stack_config.config_file(Cloud("default", checkout), "dev")
    assert read_mapping(copy)["config"]["slipway:jobs"] == {"owner": "yes", "window": "1:30"}


def test_a_file_with_a_key_twice_is_refused(checkout: Path) -> None:
    (checkout / "Pulumi.dev.yaml").write_text("config:\n  slipway:region: a\n  slipway:region: b\n")
    with pytest.raises(InputError, match=r"Pulumi\.dev\.yaml is not YAML \(line 2: slipway:region is given twice\)"):
        stack_config.builds("dev")


def test_settings_of_images_that_are_no_group_are_left_for_the_program_to_refuse(checkout: Path) -> None:
    (checkout / "Pulumi.dev.yaml").write_text("config:\n  slipway:images: [api]\n")
    copy = stack_config.config_file(Cloud("default", checkout), "dev")
    assert read_mapping(copy)["config"]["slipway:images"] == ["api"]


def test_a_project_of_another_name_has_its_own_keys_and_states(checkout: Path) -> None:
    (checkout / "Pulumi.yaml").write_text("name: shop")
    (checkout / "Pulumi.local.yaml").write_text("config: {'shop:accountId': '1', 'shop:images': {builder: b}}")
    (checkout / "Pulumi.dev.yaml").write_text("config: {'shop:images': {builder: theirs, models: [m]}}")
    cloud = Cloud("default", checkout)
    config = read_mapping(stack_config.config_file(cloud, "dev"))["config"]
    assert config["shop:images"] == {"builder": "b"}
    assert config["shop:databaseUrl"].endswith("/shop_dev")
    assert {name.partition(":")[0] for name in config} == {"shop"}
    assert stack_config.images("local") == {"builder": "b"}
    assert stack.state_folder(cloud).name == "shop"


def test_the_committed_files_name_no_emulator() -> None:
    for name in ("dev", "prod"):
        text = (ROOT / f"Pulumi.{name}.yaml").read_text()
        assert "127.0.0.1" not in text
        assert "localhost" not in text


def test_keys_and_databases_have_the_projects_name_of_pulumi_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: our-shop\n")
    monkeypatch.setattr(stack_config, "ROOT", tmp_path)
    assert stack_config.database_name("local") == "our_shop"
    assert stack_config.database_name("prod-eu") == "our_shop_prod_eu"
    local = {"config": {"our-shop:images": {"builder": "b"}, "our-shop:accountId": "1"}}
    assert stack_config.rehearsed({}, local, "dev")["config"].items() >= local["config"].items()
