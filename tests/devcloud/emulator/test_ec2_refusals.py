"""What EC2 refuses, in EC2's words."""

import ipaddress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .refusals import refusal

pytestmark = pytest.mark.cloud

SET = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
DESCRIPTION = f"Valid descriptions are strings less than 256 characters from the following set:  {SET}"
NAME = f"Valid names are non-empty strings less than 256 characters from the following set:  {SET}"
IMAGE = "ami-12c6146b"


@pytest.fixture
def vpc(ec2: Any) -> str:
    """A VPC without an internet gateway."""
    return str(ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def subnet(ec2: Any, vpc: str) -> str:
    """A subnet in a zone that offers t2.small."""
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/24", AvailabilityZone="us-east-1a")
    return str(made["Subnet"]["SubnetId"])


@pytest.fixture
def group(ec2: Any, vpc: str, name: str) -> str:
    """A security group of that VPC."""
    return str(ec2.create_security_group(GroupName=name, Description="of a test", VpcId=vpc)["GroupId"])


def run(ec2: Any, subnet: str, **more: Any) -> str:
    """Start a t2.small and return its id."""
    asked = {"ImageId": IMAGE, "InstanceType": "t2.small", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, **more}
    return str(ec2.run_instances(**asked)["Instances"][0]["InstanceId"])


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("The worker's tasks", f"Invalid security group description. {DESCRIPTION}"),
        ("x" * 256, f"Invalid security group description. {DESCRIPTION}"),
        (
            "Gerät",
            "Value (Gerät) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported.",
        ),
    ],
)
def test_a_groups_description_has_characters_of_a_set(ec2: Any, name: str, description: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.create_security_group(GroupName=name, Description=description)
    assert refusal(caught) == ("InvalidParameterValue", message)


@pytest.mark.parametrize(
    ("group_name", "message"),
    [
        ("it's", f"Invalid security group name. {NAME}"),
        ("sg-api", "Value (sg-api) for parameter GroupName is invalid. Group names may not be in the format sg-*."),
        ("größe", "Value (größe) for parameter GroupName is invalid. Character sets beyond ASCII are not supported."),
    ],
)
def test_a_groups_name_has_characters_of_a_set(ec2: Any, group_name: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.create_security_group(GroupName=group_name, Description="of a test")
    assert refusal(caught) == ("InvalidParameterValue", message)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_rules_description_has_characters_of_a_set(ec2: Any, group: str, direction: str) -> None:
    ranges = [{"CidrIp": "10.0.0.0/8", "Description": "the office's network"}]
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": ranges}
    with pytest.raises(ClientError) as caught:
        getattr(ec2, f"authorize_security_group_{direction}")(GroupId=group, IpPermissions=[rule])
    assert refusal(caught) == ("InvalidParameterValue", f"Invalid rule description. {DESCRIPTION}")


def test_a_group_of_an_instance_is_not_deleted_until_the_instance_is_gone(ec2: Any, subnet: str, group: str) -> None:
    instance = run(ec2, subnet, SecurityGroupIds=[group])
    with pytest.raises(ClientError) as caught:
        ec2.delete_security_group(GroupId=group)
    assert refusal(caught) == ("DependencyViolation", f"resource {group} has a dependent object")
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.delete_security_group(GroupId=group)


def test_a_group_that_another_groups_rule_names_is_not_deleted(ec2: Any, vpc: str, group: str, name: str) -> None:
    other = ec2.create_security_group(GroupName=f"{name}-other", Description="of a test", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    with pytest.raises(ClientError) as caught:
        ec2.delete_security_group(GroupId=group)
    assert refusal(caught) == ("DependencyViolation", f"resource {group} has a dependent object")
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[rule])
    ec2.delete_security_group(GroupId=group)


def test_a_group_of_a_service_with_tasks_is_not_deleted(ec2: Any, ecs: Any, subnet: str, group: str, name: str) -> None:
    ecs.create_cluster(clusterName=name)
    task = ecs.register_task_definition(
        family=name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "one", "image": "one"}],
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(
        cluster=name,
        serviceName=name,
        taskDefinition=task,
        desiredCount=1,
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}},
    )
    with pytest.raises(ClientError) as caught:
        ec2.delete_security_group(GroupId=group)
    assert refusal(caught)[0] == "DependencyViolation"
    ecs.delete_service(cluster=name, service=name, force=True)
    ec2.delete_security_group(GroupId=group)


def test_a_default_group_goes_with_its_vpc_alone(ec2: Any, vpc: str) -> None:
    of_the_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    (default,) = ec2.describe_security_groups(Filters=of_the_vpc)["SecurityGroups"]
    with pytest.raises(ClientError) as caught:
        ec2.delete_security_group(GroupId=default["GroupId"])
    assert refusal(caught) == (
        "CannotDelete",
        f'the specified group: "{default["GroupId"]}" name: "default" cannot be deleted by a user',
    )
    ec2.delete_vpc(VpcId=vpc)


def test_an_instance_type_is_one_that_the_zone_offers(ec2: Any, vpc: str) -> None:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone="us-east-1e")
    with pytest.raises(ClientError) as caught:
        run(ec2, made["Subnet"]["SubnetId"], InstanceType="t3.small")
    code, message = refusal(caught)
    assert code == "Unsupported"
    assert message.startswith(
        "Your requested instance type (t3.small) is not supported in your requested Availability Zone (us-east-1e). "
        "Please retry your request by not specifying an Availability Zone or choosing us-east-1a, us-east-1b"
    )


def test_an_instance_type_is_one_that_the_region_offers(emulator: Any) -> None:
    north = emulator.client("ec2", region="eu-north-1")
    with pytest.raises(ClientError) as caught:
        north.run_instances(ImageId=IMAGE, InstanceType="t2.small", MinCount=1, MaxCount=1)
    assert refusal(caught) == (
        "Unsupported",
        "The requested configuration is currently not supported. Please check the documentation for supported "
        "configurations.",
    )


def test_an_instance_type_is_one_that_exists(ec2: Any, subnet: str) -> None:
    with pytest.raises(ClientError) as caught:
        run(ec2, subnet, InstanceType="t2.tiny")
    assert refusal(caught) == ("InvalidParameterValue", "Invalid value 't2.tiny' for InstanceType.")


def test_a_stopped_instance_starts_only_as_a_type_that_the_zone_offers(ec2: Any, vpc: str) -> None:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone="us-east-1e")
    instance = run(ec2, made["Subnet"]["SubnetId"])
    ec2.stop_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.small"})
    with pytest.raises(ClientError) as caught:
        ec2.start_instances(InstanceIds=[instance])
    assert refusal(caught)[0] == "Unsupported"


@pytest.mark.parametrize(
    ("address", "code", "of_an_instance", "of_an_interface"),
    [
        (
            "10.77.0.10",
            "InvalidIPAddress.InUse",
            "Address 10.77.0.10 is in use.",
            "The specified address is already in use.",
        ),
        (
            "10.77.9.9",
            "InvalidParameterValue",
            "Address 10.77.9.9 does not fall within the subnet's address range",
            "Address does not fall within the subnet's address range",
        ),
        (
            "10.77.0.3",
            "InvalidParameterValue",
            "Address 10.77.0.3 is in subnet's reserved address range",
            "Address is in subnet's reserved address range",
        ),
    ],
)
def test_a_private_address_is_free_and_of_the_subnet(
    ec2: Any, subnet: str, address: str, code: str, of_an_instance: str, of_an_interface: str
) -> None:
    first = run(ec2, subnet, PrivateIpAddress="10.77.0.10")
    with pytest.raises(ClientError) as caught:
        run(ec2, subnet, PrivateIpAddress=address)
    assert refusal(caught) == (code, of_an_instance)
    with pytest.raises(ClientError) as caught:
        ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=address)
    assert refusal(caught) == (code, of_an_interface)
    ec2.terminate_instances(InstanceIds=[first])
    run(ec2, subnet, PrivateIpAddress="10.77.0.10")


def test_the_last_address_of_a_subnet_is_reserved(ec2: Any, subnet: str) -> None:
    last = str(ipaddress.IPv4Network("10.77.0.0/24")[-1])
    with pytest.raises(ClientError) as caught:
        run(ec2, subnet, PrivateIpAddress=last)
    assert refusal(caught)[1] == f"Address {last} is in subnet's reserved address range"


def test_an_elastic_address_needs_a_gateway_which_then_stays(ec2: Any, vpc: str, subnet: str) -> None:
    instance = run(ec2, subnet)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    with pytest.raises(ClientError) as caught:
        ec2.associate_address(AllocationId=address, InstanceId=instance)
    assert refusal(caught) == ("Gateway.NotAttached", f"Network {vpc} is not attached to any internet gateway")

    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    association = ec2.associate_address(AllocationId=address, InstanceId=instance)["AssociationId"]
    with pytest.raises(ClientError) as caught:
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refusal(caught) == (
        "DependencyViolation",
        f"Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the "
        "gateway.",
    )
    ec2.disassociate_address(AssociationId=association)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
