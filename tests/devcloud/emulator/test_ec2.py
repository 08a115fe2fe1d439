"""EC2: groups of an instance, what goes with it, launch templates."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud


@pytest.fixture
def groups(ec2: Any, name: str) -> list[str]:
    """Two security groups of the default VPC."""
    return [
        ec2.create_security_group(GroupName=f"{name}-{number}", Description="test")["GroupId"] for number in range(2)
    ]


def described(ec2: Any, instance: str) -> dict[str, Any]:
    """An instance as DescribeInstances has it."""
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found


def ids(groups: list[dict[str, str]]) -> set[str]:
    """The ids of groups."""
    return {group["GroupId"] for group in groups}


@pytest.fixture
def instance(ec2: Any, groups: list[str]) -> str:
    """An instance with the first group, named on its interface as the Terraform provider does."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [groups[0]]}
    started = ec2.run_instances(
        ImageId="ami-12c6146b", InstanceType="t2.small", MinCount=1, MaxCount=1, NetworkInterfaces=[interface]
    )
    return str(started["Instances"][0]["InstanceId"])


def test_an_instance_has_the_groups_of_its_interface(ec2: Any, instance: str, groups: list[str]) -> None:
    found = described(ec2, instance)
    assert ids(found["SecurityGroups"]) == {groups[0]}
    assert ids(found["NetworkInterfaces"][0]["Groups"]) == {groups[0]}


def test_its_groups_change_by_the_instance_and_by_the_interface(ec2: Any, instance: str, groups: list[str]) -> None:
    interface = described(ec2, instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[groups[1]])
    assert ids(described(ec2, instance)["SecurityGroups"]) == {groups[1]}
    ec2.modify_instance_attribute(InstanceId=instance, Groups=groups)
    found = described(ec2, instance)
    assert ids(found["SecurityGroups"]) == ids(found["NetworkInterfaces"][0]["Groups"]) == set(groups)


def credits_of(ec2: Any, instance: str) -> str:
    """The credit option of an instance."""
    found = ec2.describe_instance_credit_specifications(InstanceIds=[instance])["InstanceCreditSpecifications"]
    return str(found[0]["CpuCredits"])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"InstanceType": "t2.small"}, "standard"),
        ({"InstanceType": "t3.small"}, "unlimited"),
        ({"InstanceType": "t3.small", "CreditSpecification": {"CpuCredits": "standard"}}, "standard"),
    ],
)
def test_an_instance_has_the_credits_that_were_asked_for_or_its_familys(
    ec2: Any, asked: dict[str, Any], expected: str
) -> None:
    started = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, **asked)["Instances"][0]["InstanceId"]
    assert credits_of(ec2, started) == expected
    wanted = {"InstanceId": started, "CpuCredits": "unlimited" if expected == "standard" else "standard"}
    done = ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[wanted])
    assert [each["InstanceId"] for each in done["SuccessfulInstanceCreditSpecifications"]] == [started]
    assert credits_of(ec2, started) == wanted["CpuCredits"]


def test_a_type_that_is_not_burstable_has_no_credits(ec2: Any) -> None:
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "InstanceType": "m5.large"}
    with pytest.raises(ClientError, match=r"The m5\.large instance type does not support T2 Unlimited"):
        ec2.run_instances(**asked, CreditSpecification={"CpuCredits": "standard"})
    started = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    with pytest.raises(ClientError, match=r"\(InstanceCreditSpecification\.NotSupported\)"):
        ec2.describe_instance_credit_specifications(InstanceIds=[started])


def test_an_instances_interface_goes_when_it_is_terminated(ec2: Any, instance: str) -> None:
    interface = described(ec2, instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert interface not in {each["NetworkInterfaceId"] for each in found}


def test_an_interface_that_was_there_before_the_instance_outlives_it(ec2: Any, groups: list[str]) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[groups[0]])["NetworkInterface"]
    interface = {"DeviceIndex": 0, "NetworkInterfaceId": made["NetworkInterfaceId"]}
    started = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, NetworkInterfaces=[interface])
    ec2.terminate_instances(InstanceIds=[started["Instances"][0]["InstanceId"]])
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert made["NetworkInterfaceId"] in {each["NetworkInterfaceId"] for each in found}


def test_a_launch_templates_own_tags_are_not_its_instances(ec2: Any, name: str) -> None:
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "of", "Value": "instance"}]}]
        },
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "of", "Value": "template"}]}],
    )
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    assert [each["ResourceType"] for each in versions[0]["LaunchTemplateData"]["TagSpecifications"]] == ["instance"]
    template = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
    assert template["Tags"] == [{"Key": "of", "Value": "template"}]
