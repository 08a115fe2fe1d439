"""An EC2 instance of the cloud on this machine is a host: user data, commands, images, its address, its life."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from devcloud.bootstrap import cache_folder
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import Services
from devcloud.toolchain import ensure, host_image, standins
from devcloud.util.console import UserError
from devcloud.util.waiting import wait_until

pytestmark = pytest.mark.cloud

CLOUD = "hosttest"
USER_DATA = "#!/bin/bash\nset -eu\ndnf install --assumeyes docker\nsystemctl enable --now docker\necho user data ran\n"
BOOT_SECONDS = 120
SERVE = "mkdir -p /tmp/w; echo hello > /tmp/w/index.html; exec caddy file-server --root /tmp/w --listen :8080"
"""A command of the image that serves a page on port 8080."""
DOCUMENT = {
    "schemaVersion": "2.2",
    "parameters": {
        "Command": {"type": "String", "allowedPattern": "^[a-z]{1,20}$", "interpolationType": "ENV_VAR"},
        "Argument": {"type": "String", "default": "", "allowedPattern": "^[A-Za-z0-9+/=]*$"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "run",
            "inputs": {"timeoutSeconds": "60", "runCommand": ['echo "$SSM_Command"', "echo {{ Argument }}"]},
        }
    ],
}


@dataclass
class Host:
    """An instance with a network interface of its own, and what is asked of it."""

    cloud: Cloud
    instance: str
    interface: str
    address: str

    @cached_property
    def ec2(self) -> Any:
        return self.cloud.aws.client("ec2")

    @cached_property
    def ssm(self) -> Any:
        return self.cloud.aws.client("ssm")

    @property
    def state(self) -> str:
        found = self.ec2.describe_instances(InstanceIds=[self.instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    def becomes(self, state: str) -> None:
        """Wait for a state."""
        assert wait_until(lambda: self.state == state, BOOT_SECONDS), f"{self.state}, not {state}"

    @property
    def online(self) -> bool:
        wanted = [{"Key": "InstanceIds", "Values": [self.instance]}]
        found = self.ssm.describe_instance_information(Filters=wanted)["InstanceInformationList"]
        return [each["PingStatus"] for each in found] == ["Online"]

    def command(self, document: str, parameters: dict[str, list[str]]) -> dict[str, Any]:
        """Run a command to its end. Return its invocation."""
        sent = self.ssm.send_command(InstanceIds=[self.instance], DocumentName=document, Parameters=parameters)
        asked = {"CommandId": sent["Command"]["CommandId"], "InstanceId": self.instance}

        def invocation() -> dict[str, Any]:
            found: dict[str, Any] = self.ssm.get_command_invocation(**asked)
            return found

        waiting = ("Pending", "InProgress", "Cancelling")
        assert wait_until(lambda: invocation()["Status"] not in waiting, BOOT_SECONDS), invocation()
        return invocation()

    def shell(self, *lines: str, timeout: int = 60) -> dict[str, Any]:
        """Run lines of the shell."""
        return self.command("AWS-RunShellScript", {"commands": list(lines), "executionTimeout": [str(timeout)]})

    def said(self, *lines: str) -> str:
        """Run lines of the shell, which must succeed. Return what they print."""
        done = self.shell(*lines)
        assert done["Status"] == "Success", done
        return str(done["StandardOutputContent"])


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Start a cloud without BuildKit, and end it."""
    cloud = Cloud(CLOUD, cache_folder())
    services = Services(cloud, ensure(cloud.cache, lambda _: None))
    services.stop()
    services.start(builds=False)
    yield services
    services.stop()


def launch(cloud: Cloud, interface: str) -> str:
    """Start an instance with a role and a network interface."""
    name = f"host-{time.time_ns()}"
    iam = cloud.aws.client("iam")
    trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
    for allowed in ("AmazonSSMManagedInstanceCore", "AmazonEC2ContainerRegistryReadOnly"):
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{allowed}")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    started = cloud.aws.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType="t2.small",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA,
        IamInstanceProfile={"Name": name},
        NetworkInterfaces=[{"NetworkInterfaceId": interface, "DeviceIndex": 0}],
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    )["Instances"][0]
    assert started["State"]["Name"] == "pending"
    return str(started["InstanceId"])


@pytest.fixture(scope="module")
def host(services: Services) -> Host:
    """Start a host in a network as the program makes it, and wait until its user data has run."""
    ec2 = services.cloud.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="host", Description="host", VpcId=vpc)["GroupId"]
    anywhere = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[anywhere])
    interface = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="10.20.0.10", Groups=[group])
    interface_id = interface["NetworkInterface"]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=interface_id)
    host = Host(services.cloud, launch(services.cloud, interface_id), interface_id, address["PublicIp"])
    host.becomes("running")
    assert wait_until(lambda: host.online, BOOT_SECONDS), console(host)
    assert wait_until(lambda: "user data ran, exit code 0" in console(host), BOOT_SECONDS), console(host)
    return host


def console(host: Host) -> str:
    """Return what the console shows."""
    return str(host.ec2.get_console_output(InstanceId=host.instance).get("Output", ""))


@pytest.fixture(scope="module")
def image(services: Services) -> str:
    """Push an image with Caddy to the cloud's ECR. Return its name, by its digest."""
    cloud = services.cloud
    cloud.aws.client("ecr").create_repository(repositoryName="hello")
    archives = {each.name: each.archives[-1] for each in standins.ensure(cloud.cache, lambda _: None)}
    name = f"{cloud.registry_address}/hello:1"
    docker: Callable[..., str] = services.engine._docker
    docker("import", str(archives[standins.CADDY]), name)
    docker("push", "--quiet", name)
    return docker("inspect", "--format", "{{index .RepoDigests 0}}", name).strip()


def test_a_command_runs_with_its_parameters_and_reports_output_and_exit_code(host: Host) -> None:
    host.ssm.create_document(Name="hello-host", DocumentType="Command", Content=json.dumps(DOCUMENT))
    done = host.command("hello-host", {"Command": ["submit"], "Argument": ["YWJj"]})
    assert (done["Status"], done["StandardOutputContent"]) == ("Success", "submit\nYWJj\n")
    failed = host.shell("echo out", "echo err >&2", "exit 3")
    assert (failed["Status"], failed["ResponseCode"], failed["StandardOutputContent"]) == ("Failed", 3, "out\n")
    assert failed["StandardErrorContent"] == "err\nfailed to run commands: exit status 3"
    late = host.shell("sleep 30", timeout=1)
    assert (late["Status"], late["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    with pytest.raises(ClientError, match="not matching"):
        host.command("hello-host", {"Command": ["rm -rf"]})


def test_the_host_is_its_role_and_its_containers_reach_no_metadata(host: Host, image: str) -> None:
    identity = host.said("aws sts get-caller-identity --region us-east-1 --query Arn --output text")
    assert identity.strip().endswith(host.instance)
    assert host.said("getent hosts host.docker.internal").split()[1] == "host.docker.internal"
    registry = host.cloud.registry_address
    host.said(
        "aws ecr get-login-password --region us-east-1"
        f" | DOCKER_CONFIG=/run/login docker login --username AWS --password-stdin {registry}",
        f"DOCKER_CONFIG=/run/login docker pull --quiet {image}",
    )
    tried = host.shell(f"docker run --rm {image} wget -q -T 3 -O - http://169.254.169.254/latest/meta-data/")
    assert tried["Status"] == "Failed", tried


def test_a_published_port_answers_at_the_elastic_address_and_after_a_reboot(host: Host, image: str) -> None:
    host.said(f"docker run -d --name hello --restart always --memory 64m -p 80:8080 {image} sh -c '{SERVE}'")

    def answers() -> bool:
        try:
            return httpx.get(f"http://{host.address}/", timeout=2, trust_env=False).text == "hello\n"
        except httpx.HTTPError:
            return False

    assert wait_until(answers, 30)
    booted = host.said("stat --format %Y /proc/1")
    host.ec2.reboot_instances(InstanceIds=[host.instance])
    assert wait_until(lambda: host.said("stat --format %Y /proc/1") != booted, BOOT_SECONDS)
    assert wait_until(answers, BOOT_SECONDS)


def test_what_runs_on_the_host_is_held_to_its_memory(host: Host, image: str) -> None:
    held = int(host.said("cat /sys/fs/cgroup/memory/$(sed -n 's,^.*:memory:,,p' /proc/1/cgroup)/memory.limit_in_bytes"))
    inner = host.said("cat /proc/$(docker inspect --format '{{ .State.Pid }}' hello)/cgroup")
    outer = host.said("sed -n 's,^.*:memory:,,p' /proc/1/cgroup").strip().removesuffix("/init.scope")
    assert outer in inner
    assert held >= 1810 * 1024 * 1024  # the limit stands on the container, above systemd's own scope
    assert host.said("grep MemTotal /proc/meminfo").split()[1] == str(1810 * 1024)
    free = int(host.said("grep MemAvailable /proc/meminfo").split()[1]) // 1024
    assert 800 < free < 1800


def test_a_port_for_a_group_is_open_to_its_tasks_and_to_nobody_else(host: Host, services: Services, image: str) -> None:
    found = host.ec2.describe_network_interfaces(NetworkInterfaceIds=[host.interface])["NetworkInterfaces"][0]
    tasks = host.ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=found["VpcId"])["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": tasks}]}
    host.ec2.authorize_security_group_ingress(GroupId=found["Groups"][0]["GroupId"], IpPermissions=[rule])
    for name, port in (("store", 5432), ("closed", 5433)):
        host.said(f"docker run -d --name {name} --memory 64m -p {port}:8080 {image} sh -c '{SERVE}'")
    docker, instance = services.engine._docker, f"{host.cloud.network}-{host.instance}"
    address = docker(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", instance
    ).strip()

    client = host_image.of(host.cloud.cache).name

    def reaches(port: int, *options: str, seconds: int = 3) -> bool:
        # Not the image's own wget: the stand-in's static Busybox cannot look up a host.
        command = ["curl", "--silent", "--max-time", str(seconds), f"http://{address}:{port}/"]
        label = ["--label", f"slipway.cloud={host.cloud.name}"]
        try:
            return (
                docker("run", "--rm", "--network", host.cloud.network, *label, *options, client, *command) == "hello\n"
            )
        except UserError:
            return False

    task = ("--label", f"slipway.groups={tasks}")
    # A task that has just started is known a moment later: its first packets are lost, and sent again.
    assert reaches(5432, *task, seconds=15)
    assert not reaches(5433, *task)
    # So is one that has ended, whose address this one may have.
    assert wait_until(lambda: not reaches(5432), 20)
    assert reaches(80)
    # On the host itself no group is asked.
    assert host.said(f"curl --silent http://{address}:5433/") == "hello\n"


def test_a_volume_is_a_disk_that_outlasts_a_reboot(host: Host) -> None:
    zone = host.ec2.describe_instances(InstanceIds=[host.instance])["Reservations"][0]["Instances"][0]["Placement"]
    volume = host.ec2.create_volume(AvailabilityZone=zone["AvailabilityZone"], Size=1, VolumeType="gp3")["VolumeId"]
    host.ec2.attach_volume(VolumeId=volume, InstanceId=host.instance, Device="/dev/sdf")
    assert wait_until(lambda: host.shell("test -b /dev/xvdf")["Status"] == "Success", 30)
    host.said("mkfs.ext4 -q -L data /dev/xvdf", "mount /dev/xvdf /mnt", "echo row > /mnt/row", "umount /mnt")
    booted = host.said("stat --format %Y /proc/1")
    host.ec2.reboot_instances(InstanceIds=[host.instance])
    assert wait_until(lambda: host.said("stat --format %Y /proc/1") != booted, BOOT_SECONDS)
    assert host.said("blkid -o value -s LABEL /dev/xvdf", "mount /dev/xvdf /mnt", "cat /mnt/row") == "data\nrow\n"
    host.said("umount /mnt")
    host.ec2.detach_volume(VolumeId=volume, InstanceId=host.instance)
    assert wait_until(lambda: host.shell("test -b /dev/xvdf")["Status"] == "Failed", 30)
    host.ec2.delete_volume(VolumeId=volume)
    file = host.cloud.folder / "volumes" / f"{volume}.img"
    assert wait_until(lambda: not file.exists(), 30)


def test_a_stopped_host_takes_no_command_and_starts_with_its_disk(host: Host) -> None:
    host.said("echo kept > /root/note")
    host.ec2.stop_instances(InstanceIds=[host.instance])
    assert host.state == "stopping"
    host.becomes("stopped")
    with pytest.raises(ClientError, match="not in a valid state"):
        host.shell("true")
    host.ec2.start_instances(InstanceIds=[host.instance])
    host.becomes("running")
    assert host.said("cat /root/note") == "kept\n"
    assert console(host).count("user data ran, exit code 0") == 1


def test_a_replaced_host_takes_over_the_interface_and_the_address(host: Host, services: Services) -> None:
    with pytest.raises(ClientError, match="in use"):
        launch(host.cloud, host.interface)
    host.ec2.terminate_instances(InstanceIds=[host.instance])
    assert host.state == "shutting-down"
    host.becomes("terminated")
    assert host.instance not in services.engine.hosts()
    second = Host(host.cloud, launch(host.cloud, host.interface), host.interface, host.address)
    second.becomes("running")
    assert wait_until(lambda: second.online, BOOT_SECONDS), console(second)
    assert second.shell("cat /root/note")["Status"] == "Failed"


def test_nothing_is_left_of_a_cloud_that_was_stopped(services: Services) -> None:
    services.stop()
    services.engine.start()  # the engine has ended with its last cloud
    assert services.engine.hosts() == {}
    services.stop()
