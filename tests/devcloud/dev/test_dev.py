"""`make dev`: what its parts are given, and what it refuses in a sentence."""

import os
import sys
from pathlib import Path

import pytest

from devcloud.bootstrap import ROOT
from devcloud.cloud.cloud import Cloud
from devcloud.dev import dev
from devcloud.util.console import UserError
from devcloud.util.locks import only_one
from infra.product import Product, environment_variable, load, product_of


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud("make-dev", tmp_path)


@pytest.fixture
def product() -> Product:
    return product_of()


def test_a_dummy_key_means_the_named_fake_and_a_real_one_the_real_model(cloud: Cloud, product: Product) -> None:
    assert dev.environment(cloud, product, {})["CHAT_MODEL"] == "fake"
    real = dev.environment(cloud, product, {"OPENAI_API_KEY": "sk-something"})
    assert real["OPENAI_API_KEY"] == "sk-something"
    assert "CHAT_MODEL" not in real  # what the shell says holds, else the service's own default
    chosen = dev.environment(cloud, product, {"CHAT_MODEL": "openai", "OPENAI_MODEL": "gpt-5"})
    assert chosen["CHAT_MODEL"] == "openai"
    assert chosen["OPENAI_MODEL"] == "gpt-5"


def test_the_parts_and_their_ports_are_those_of_product_yaml(product: Product) -> None:
    described = {service.name: service for service in dev.services(product)}
    assert list(described) == [
        name for name in product.start_order if product.services[name].image not in (None, "web")
    ]
    for name, service in described.items():
        assert service.port == product.services[name].port
    assert described["api"].packages == ("api", "chat", "common")
    assert described["auth"].packages == ("auth", "common")
    assert dev.front_end(product) == dev.FrontEnd("web", ROOT / "app" / "web", 8080)


def test_an_edge_that_is_no_front_end_is_a_service() -> None:
    minimal = load(ROOT / "tests" / "products" / "minimal" / "product.yaml")
    assert dev.front_end(minimal) is None
    assert [service.name for service in dev.services(minimal)] == list(minimal.services)


def test_every_variable_of_the_product_is_given(cloud: Cloud, product: Product) -> None:
    given = dev.environment(cloud, product, {})
    for name in product.secrets:
        assert given[environment_variable(name)], name
    for name, variable in product.variables.items():
        assert given[environment_variable(name)] == variable.default


def test_everything_that_the_parts_reach_is_on_loopback(cloud: Cloud, product: Product) -> None:
    given = dev.environment(cloud, product, {})
    for name in ("DATABASE_URL", "REDIS_URL", "JOBS_QUEUE_URL", "AWS_ENDPOINT_URL"):
        host = given[name].partition("://")[2].rpartition("@")[2].partition(":")[0]
        assert host.startswith("127."), name
    assert given["HOST"] == "127.0.0.1"


def test_a_part_starts_anew_when_the_code_that_it_imports_changes() -> None:
    command = dev.reloading(["python", "-m", "app"], ("api", "common", "not-there"))
    watched = [str(ROOT / "app/api"), str(ROOT / "app/common")]
    assert command == [sys.executable, "-m", "devcloud.dev.reload", *watched, "--", "python", "-m", "app"]


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    again = pytest.raises(UserError, match="`make dev` runs on this machine already")
    with only_one(lock, "make dev"), again, only_one(lock, "make dev"):
        pass
    with only_one(lock, "make dev"):
        pass


@pytest.mark.parametrize(("version", "fits"), [("v20.19.0", True), ("v22.1.0", True), ("v18.20.4", False)])
def test_an_old_node_is_refused_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    if fits:
        dev.check_node()
    else:
        with pytest.raises(UserError, match=r"Node is v18.20.4 here.*need 20.19 or newer"):
            dev.check_node()


def test_a_machine_without_node_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"node and npm is not on this machine: install Node 20.19"):
        dev.check_node()


def test_a_checkout_without_the_front_end_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"package-lock.json is missing: the front end is not in this checkout"):
        dev.install_packages(dev.FrontEnd("web", tmp_path, 8080))
