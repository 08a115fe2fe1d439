"""A cloud's place on this machine: its name, its ports, and what it aims a program at."""

import socket
from pathlib import Path

import pytest

from devcloud.cloud.cloud import Cloud
from devcloud.util.console import UserError


@pytest.mark.parametrize("name", ["", "Default", "a b", "../up", "x" * 40, "ünïcode", "1st"])
def test_a_name_that_could_be_no_folder_and_no_network_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"is not a name for a cloud: use 1 to 31 lower-case letters"):
        Cloud.named(name)


def test_clouds_side_by_side_share_no_port_and_no_address(tmp_path: Path) -> None:
    one, two = Cloud("one", tmp_path).ports, Cloud("two", tmp_path).ports
    assert not {one.aws, one.ecr, one.registry} & {two.aws, two.ecr, two.registry}
    assert one.databases != two.databases


def test_a_clouds_ports_stay_the_same(tmp_path: Path) -> None:
    assert Cloud("one", tmp_path).ports == Cloud("one", tmp_path).ports


def test_a_port_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "clouds" / "other").mkdir(parents=True)
        ports = Cloud("one", tmp_path).ports
        assert taken.getsockname()[1] not in (ports.aws, ports.ecr, ports.registry)


def test_what_would_aim_at_a_real_account_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-real-token")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-real")
    cloud = Cloud("one", tmp_path)
    environment = cloud.environment(cloud.variables(tmp_path / "bin", tmp_path / "pulumi"))
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "PULUMI_ACCESS_TOKEN"} & environment.keys()
    assert environment["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{cloud.ports.aws}"
    assert environment["PULUMI_BACKEND_URL"].startswith("file://")
