"""Instances that a data plane runs: their states follow its reports; what it is told of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Emulator, running

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Start an emulator whose instances a data plane runs: these tests."""
    with running(tmp_path_factory.mktemp("machines"), "--machines", "127.0.0.1") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def ec2(managed: Emulator) -> Any:
    """Return a client of that emulator."""
    return managed.client("ec2")


@pytest.fixture
def interface(ec2: Any, name: str) -> str:
    """Make a network interface with an elastic address, open on port 80 and for a group on 5432."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.0.0/24", AvailabilityZone="us-east-1b")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    for port, peer in (
        (80, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
        (5432, {"UserIdGroupPairs": [{"GroupId": group}]}),
    ):
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    made = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="10.20.0.10", Groups=[group])
    interface: str = made["NetworkInterface"]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=interface)
    return interface


def launch(ec2: Any, interface: str) -> str:
    """Start an instance on an interface."""
    nic = {"NetworkInterfaceId": interface, "DeviceIndex": 0}
    started = ec2.run_instances(
        ImageId="ami-12c6146b", InstanceType="t2.small", MinCount=1, MaxCount=1, NetworkInterfaces=[nic]
    )
    return str(started["Instances"][0]["InstanceId"])


@pytest.fixture
def instance(ec2: Any, interface: str) -> str:
    """Start an instance."""
    return launch(ec2, interface)


def report(managed: Emulator, instance: str, **content: object) -> None:
    """Report as the data plane."""
    managed.send("POST", f"/_devcloud/instances/{instance}", content).raise_for_status()


def wanted(managed: Emulator, instance: str) -> dict[str, Any] | None:
    """Return what the data plane is told of an instance."""
    said = managed.send("GET", "/_devcloud/instances").json()["instances"]
    return next((each for each in said if each["id"] == instance), None)


def state(ec2: Any, instance: str) -> str:
    """Return the state of an instance."""
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def test_an_instance_is_pending_until_it_runs(managed: Emulator, ec2: Any, instance: str) -> None:
    assert state(ec2, instance) == "pending"
    report(managed, instance, state="running", address="172.19.0.2")
    assert state(ec2, instance) == "running"


def test_the_data_plane_is_told_size_address_and_open_ports(managed: Emulator, ec2: Any, instance: str) -> None:
    said = wanted(managed, instance)
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert said is not None
    assert (said["memoryMib"], said["cpus"], said["privateAddress"]) == (2048, 1, "10.20.0.10")
    assert said["publish"] == [{"address": found["PublicIpAddress"], "port": 80}]
    assert found["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert said["metadataPort"] > 0


def test_it_stops_and_starts_when_the_data_plane_says_so(managed: Emulator, ec2: Any, instance: str) -> None:
    report(managed, instance, state="running")
    ec2.stop_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "stopping"
    report(managed, instance, state="running")  # too late
    assert state(ec2, instance) == "stopping"
    with pytest.raises(ClientError, match="not in a state from which it can be started"):
        ec2.start_instances(InstanceIds=[instance])
    report(managed, instance, state="stopped")
    ec2.start_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "pending"


def test_a_reboot_is_asked_for_until_it_is_done(managed: Emulator, ec2: Any, instance: str) -> None:
    report(managed, instance, state="running")
    ec2.reboot_instances(InstanceIds=[instance])
    assert (wanted(managed, instance) or {})["reboots"] == 1
    report(managed, instance, rebooted=1)
    assert (wanted(managed, instance) or {})["reboots"] == 0


def test_an_interface_is_free_when_its_instance_is_gone(
    managed: Emulator, ec2: Any, interface: str, instance: str
) -> None:
    report(managed, instance, state="running")
    with pytest.raises(ClientError, match="in use"):
        launch(ec2, interface)
    ec2.terminate_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "shutting-down"
    report(managed, instance, state="terminated")
    assert wanted(managed, instance) is None
    (found,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
    assert found["Status"] == "available"
    assert state(ec2, launch(ec2, interface)) == "pending"


def test_a_launch_that_fails_says_why(managed: Emulator, ec2: Any, instance: str) -> None:
    report(managed, instance, state="terminated", reason="port 80 is taken")
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"] == {"Code": "Server.InternalError", "Message": "Server.InternalError: port 80 is taken"}


def test_the_console_is_what_the_machine_shows(managed: Emulator, ec2: Any, instance: str) -> None:
    assert "Output" not in ec2.get_console_output(InstanceId=instance)
    report(managed, instance, console="Welcome")
    assert ec2.get_console_output(InstanceId=instance)["Output"] == "Welcome"
