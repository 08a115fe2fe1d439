"""Resources that a killed run began to create are found and imported, or cleared."""

import functools
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from moto import mock_aws

from devcloud.cloud.aws import AwsClients
from devcloud.pulumi import recovery
from devcloud.pulumi.recovery import Pending

pytestmark = pytest.mark.services

URN = "urn:pulumi:local::slipway::aws:x::it"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    # What botocore reads of each service takes longer than all the rest here; it is the same each time.
    monkeypatch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
    with mock_aws():
        yield


def found(kind: str, inputs: dict[str, Any]) -> str | None:
    return recovery.find([Pending(URN, kind, inputs)], AwsClients(None)).get(URN)


def test_only_creations_count_among_what_was_under_way() -> None:
    resource = {"urn": URN, "type": "aws:iam/role:Role", "inputs": {"name": "one"}}
    operations = [{"type": "creating", "resource": resource}, {"type": "updating", "resource": resource}]
    pending = recovery.pending_creates({"deployment": {"pending_operations": operations}})
    assert pending == [Pending(URN, "aws:iam/role:Role", {"name": "one"})]
    assert recovery.pending_creates({"deployment": {}}) == []


def test_a_creation_that_was_to_replace_what_is_still_there_is_begun_again_by_the_engine() -> None:
    operations = [{"type": "creating", "resource": {"urn": URN, "type": "aws:ec2/vpc:Vpc", "inputs": {}}}]
    state = {"deployment": {"resources": [{"urn": URN, "id": "vpc-old"}], "pending_operations": operations}}
    assert recovery.pending_creates(state) == []
    assert recovery.adopted(state, {}) == {"deployment": {"resources": [{"urn": URN, "id": "vpc-old"}]}}


def test_a_creation_takes_the_place_of_what_was_deleted_for_it() -> None:
    resource = {"urn": URN, "type": "aws:ec2/securityGroup:SecurityGroup", "inputs": {"name": "host"}}
    state = {
        "deployment": {
            "resources": [{"urn": URN, "id": "sg-old", "pendingReplacement": True}],
            "pending_operations": [{"type": "creating", "resource": resource}],
        }
    }
    assert [one.urn for one in recovery.pending_creates(state)] == [URN]
    assert recovery.adopted(state, {URN: "sg-new"}) == {"deployment": {"resources": [resource | {"id": "sg-new"}]}}


@pytest.mark.parametrize("kind", ["creating", "updating", "deleting"])
def test_a_run_that_was_killed_at_anything_leaves_something_to_read(kind: str) -> None:
    operations = [{"type": kind, "resource": {"urn": URN}}]
    assert recovery.interrupted({"deployment": {"pending_operations": operations}})
    assert not recovery.interrupted({"deployment": {"resources": []}})
    assert not recovery.interrupted({})


def test_what_was_not_created_is_cleared() -> None:
    assert found("aws:iam/role:Role", {"name": "nobody"}) is None
    assert found("aws:ec2/vpc:Vpc", {"tags": {"Name": "nowhere"}}) is None
    assert found("aws:cloudwatch/logGroup:LogGroup", {"name": "/nothing"}) is None


def test_what_has_a_name_is_found_by_it() -> None:
    boto3.client("iam").create_role(RoleName="host", AssumeRolePolicyDocument="{}")
    assert found("aws:iam/role:Role", {"name": "host"}) == "host"
    boto3.client("ecr", "us-east-1").create_repository(repositoryName="slipway/api")
    assert found("aws:ecr/repository:Repository", {"name": "slipway/api"}) == "slipway/api"
    boto3.client("logs", "us-east-1").create_log_group(logGroupName="/slipway/api")
    assert found("aws:cloudwatch/logGroup:LogGroup", {"name": "/slipway/api"}) == "/slipway/api"
    assert found("aws:cloudwatch/logGroup:LogGroup", {"name": "/slipway"}) is None


def test_what_has_a_tag_is_found_by_it() -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "slipway-dev-vpc"}]}]
    vpc = boto3.client("ec2", "us-east-1").create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
    assert found("aws:ec2/vpc:Vpc", {"tags": {"Name": "slipway-dev-vpc"}}) == vpc


def test_an_instance_is_found_until_it_is_terminated() -> None:
    ec2 = boto3.client("ec2", "us-east-1")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "host"}]}]
    launched = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)
    instance = launched["Instances"][0]["InstanceId"]
    assert found("aws:ec2/instance:Instance", {"tags": {"Name": "host"}}) == instance
    ec2.terminate_instances(InstanceIds=[instance])
    assert found("aws:ec2/instance:Instance", {"tags": {"Name": "host"}}) is None


def test_a_queue_is_found_by_its_url() -> None:
    url = boto3.client("sqs", "us-east-1").create_queue(QueueName="jobs")["QueueUrl"]
    assert found("aws:sqs/queue:Queue", {"name": "jobs"}) == url


def test_a_service_is_found_in_its_cluster() -> None:
    ecs = boto3.client("ecs", "us-east-1")
    arn = ecs.create_cluster(clusterName="dev")["cluster"]["clusterArn"]
    ecs.register_task_definition(family="worker", containerDefinitions=[{"name": "w", "image": "i", "memory": 64}])
    ecs.create_service(cluster="dev", serviceName="worker", taskDefinition="worker", desiredCount=0)
    assert found("aws:ecs/service:Service", {"name": "worker", "cluster": arn}) == "dev/worker"


def test_what_is_put_in_its_place_is_simply_put_again() -> None:
    assert found("aws:iam/rolePolicy:RolePolicy", {"name": "host"}) is None


def test_the_state_takes_in_what_exists_and_drops_the_rest() -> None:
    kept = {"urn": "urn:kept", "id": "k"}
    operations = [
        {"type": "creating", "resource": {"urn": "urn:there", "inputs": {"name": "a"}}},
        {"type": "creating", "resource": {"urn": "urn:gone"}},
        {"type": "updating", "resource": {"urn": "urn:kept"}},
    ]
    state = {"version": 3, "deployment": {"resources": [kept], "pending_operations": operations}}
    adopted = recovery.adopted(state, {"urn:there": "id-1"})
    resources = [kept, {"urn": "urn:there", "inputs": {"name": "a"}, "id": "id-1"}]
    assert adopted == {"version": 3, "deployment": {"resources": resources}}


def test_what_was_taken_in_is_to_be_read_even_by_the_run_after_one_that_was_killed_before_it_did() -> None:
    kind = "aws:ec2/subnet:Subnet"
    operations = [{"type": "creating", "resource": {"urn": f"{URN}-new", "type": kind, "inputs": {"a": "b"}}}]
    read = {"urn": f"{URN}-old", "type": kind, "id": "subnet-1", "outputs": {"arn": "arn"}}
    component = {"urn": URN, "type": "slipway:index:Network"}
    state = {"deployment": {"resources": [component, read], "pending_operations": operations}}
    assert recovery.unread(state) == []
    adopted = recovery.adopted(state, {f"{URN}-new": "subnet-2"})
    assert recovery.unread(adopted) == ["it-new"]
    adopted["deployment"]["resources"][-1]["outputs"] = {"arn": "arn"}
    assert recovery.unread(adopted) == []
    assert recovery.unread({"deployment": {}}) == []


def test_a_parameter_is_made_again_since_read_back_it_would_differ_for_ever() -> None:
    ssm = boto3.client("ssm", "us-east-1")
    ssm.put_parameter(Name="/slipway/dev/release", Value="{}", Type="String")
    assert found("aws:ssm/parameter:Parameter", {"name": "/slipway/dev/release"}) is None
    assert ssm.describe_parameters()["Parameters"] == []
