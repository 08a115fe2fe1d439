"""An instance as a container: Docker's arguments, the host's own files, and what has to be done for it."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from devcloud.machines.containers import Door, Place, Wanted, create, files, name_of, states, update
from devcloud.machines.engine import write
from devcloud.machines.image import boot
from devcloud.machines.reconcile import to_do

PLACE = Place(
    cloud="test",
    network="slipway-test",
    gateway="172.19.0.1",
    image="devcloud/host:1",
    aws_port=4566,
    registry_port=5000,
    cgroup_version=1,
)
WANTED = Wanted(
    id="i-1",
    state="running",
    memory_mib=2048,
    cpus=1,
    private_address="10.20.0.10",
    doors=(Door("127.5.6.7", 80),),
    hop_limit=1,
    reboots=0,
    token="secret of i-1",
    metadata_port=34567,
)


def values(arguments: list[str], option: str) -> list[str]:
    """Return what an option is given, each time."""
    return [value for name, value in pairwise(arguments) if name == option]


def test_a_host_has_what_amazon_linux_and_its_kernel_leave_of_the_memory_and_no_swap() -> None:
    arguments = create(PLACE, WANTED)
    assert values(arguments, "--memory") == values(arguments, "--memory-swap") == ["1810m"]
    assert values(arguments, "--cpus") == ["1"]


def test_an_instance_of_another_type_has_that_ones_limits() -> None:
    arguments = update(PLACE, replace(WANTED, memory_mib=4096, cpus=2))
    assert arguments[0] == "update"
    assert (values(arguments, "--memory"), values(arguments, "--cpus")) == (["3858m"], ["2"])
    assert arguments[-1] == name_of(PLACE, WANTED.id)


def test_ports_are_published_on_the_elastic_address_alone() -> None:
    assert values(create(PLACE, WANTED), "--publish") == ["127.5.6.7:80:80"]
    assert values(create(PLACE, replace(WANTED, doors=())), "--publish") == []


def test_a_host_carries_the_labels_by_which_it_is_removed_with_its_cloud() -> None:
    assert values(create(PLACE, WANTED), "--label") == ["slipway.cloud=test", "slipway.instance=i-1"]


def test_the_tree_of_control_groups_is_mounted_where_it_has_to_be() -> None:
    tree = "/sys/fs/cgroup:/sys/fs/cgroup:rw"
    assert tree in values(create(PLACE, WANTED), "--volume")
    second = create(replace(PLACE, cgroup_version=2), WANTED)
    assert tree not in values(second, "--volume")
    assert values(second, "--cgroupns") == ["private"]


def test_a_host_finds_the_emulator_by_the_bridge_and_has_an_identity_of_its_own() -> None:
    written = files(PLACE, WANTED)
    assert json.loads(written["etc/devcloud/machine.json"])["aws"] == "http://172.19.0.1:4566"
    assert "AWS_ENDPOINT_URL=http://172.19.0.1:4566" in written["etc/systemd/system.conf.d/10-devcloud.conf"]
    other = files(PLACE, replace(WANTED, id="i-2"))
    assert len(written["etc/machine-id"].strip()) == 32
    assert other["etc/machine-id"] != written["etc/machine-id"]


def test_with_one_hop_no_container_of_the_host_reaches_the_metadata_service() -> None:
    settings = json.loads(files(PLACE, WANTED)["etc/devcloud/machine.json"])
    assert ["-t", "raw", "-A", "PREROUTING", "-d", "169.254.169.254", "-j", "DROP"] in [
        rule[2:] for rule in boot.rules(settings)
    ]
    two = boot.rules({**settings, "hopLimit": 2})
    assert [rule[5] for rule in two] == ["OUTPUT", "PREROUTING"]
    assert all(rule[-1] == "172.19.0.1:34567" for rule in two)


def test_with_one_hop_no_container_reaches_the_metadata_service_where_the_host_does() -> None:
    settings = json.loads(files(PLACE, WANTED)["etc/devcloud/machine.json"])
    drop = ["-t", "raw", "-A", "PREROUTING", "-d", "172.19.0.1", "-p", "tcp", "--dport", "34567", "-j", "DROP"]
    assert drop in [rule[2:] for rule in boot.rules(settings)]


def test_the_agents_token_is_for_the_hosts_root_alone(tmp_path: Path) -> None:
    written = files(PLACE, WANTED)
    assert json.loads(written["etc/devcloud/machine.json"])["token"] == WANTED.token
    assert WANTED.token not in repr(WANTED)
    assert WANTED.token not in " ".join(create(PLACE, WANTED))
    write(tmp_path, written)
    assert (tmp_path / "etc/devcloud/machine.json").stat().st_mode & 0o777 == 0o600


def test_states_are_read_by_instance() -> None:
    assert states(["i-1 running", "i-2 exited", ""]) == {"i-1": "running", "i-2": "exited"}


@pytest.mark.parametrize(
    ("state", "reboots", "here", "work"),
    [
        ("pending", 0, "", "run"),
        ("pending", 0, "exited", "run"),
        ("pending", 0, "running", "run"),
        ("running", 0, "running", ""),
        ("running", 1, "running", "reboot"),
        ("running", 0, "exited", "recover"),
        ("stopping", 0, "running", "stop"),
        ("stopping", 0, "exited", "stop"),
        ("stopped", 0, "exited", ""),
        ("shutting-down", 0, "running", "remove"),
        ("shutting-down", 0, "", "remove"),
    ],
)
def test_what_has_to_be_done(state: str, reboots: int, here: str, work: str) -> None:
    assert to_do(replace(WANTED, state=state, reboots=reboots), here) == work
