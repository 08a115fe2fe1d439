"""Resources that a killed run began to create are found and imported, or cleared."""

import functools
from collections.abc import Sequence
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from moto import mock_aws

from devcloud.cloud.aws import AwsClients
from devcloud.emulator.operator_key import OperatorKey
from devcloud.pulumi import recovery

pytestmark = pytest.mark.services

URN = "urn:pulumi:local::slipway::aws:x::it"
ROLE = "aws:iam/role:Role"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    # What botocore reads of each service takes longer than all the rest here; it is the same each time.
    monkeypatch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
    with mock_aws():
        yield


def creating(kind: str, inputs: dict[str, Any], urn: str = URN) -> dict[str, Any]:
    return {"type": "creating", "resource": {"urn": urn, "type": kind, "inputs": inputs}}


def recovered(operations: list[dict[str, Any]], resources: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return the resources of a state in which these operations were pending."""
    state = {"version": 3, "deployment": {"resources": list(resources), "pending_operations": operations}}
    after = recovery.recovered(state, AwsClients(None, OperatorKey.new().variables()))
    assert after.keys() == state.keys()
    assert after["deployment"].keys() == {"resources"}
    assert not recovery.interrupted(after)
    resources = after["deployment"]["resources"]
    return list(resources)


def found(kind: str, inputs: dict[str, Any]) -> str | None:
    taken_in = recovered([creating(kind, inputs)])
    return str(taken_in[0]["id"]) if taken_in else None


def make_role(name: str) -> None:
    boto3.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")


def test_what_exists_is_taken_into_the_state_and_the_rest_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    make_role("there")
    kept = {"urn": "urn::kept", "id": "k"}
    there = creating(ROLE, {"name": "there"}, "urn::there")
    operations = [there, creating(ROLE, {"name": "gone"}, "urn::gone"), {"type": "updating", "resource": kept}]
    assert recovered(operations, [kept]) == [kept, there["resource"] | {"id": "there"}]
    assert capsys.readouterr().err.splitlines() == [
        "  recover     there: exists, taken into the state",
        "  recover     gone: to be created again",
    ]


def test_a_creation_without_inputs_is_begun_again() -> None:
    assert recovered([{"type": "creating", "resource": {"urn": URN, "type": ROLE}}]) == []


def test_a_creation_that_was_to_replace_what_is_still_there_is_begun_again_by_the_engine() -> None:
    make_role("host")
    old = {"urn": URN, "id": "old", "type": ROLE}
    assert recovered([creating(ROLE, {"name": "host"})], [old]) == [old]


def test_a_creation_takes_the_place_of_what_was_deleted_for_it() -> None:
    make_role("host")
    operation = creating(ROLE, {"name": "host"})
    old = {"urn": URN, "id": "old", "type": ROLE, "pendingReplacement": True}
    assert recovered([operation], [old]) == [operation["resource"] | {"id": "host"}]


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
    make_role("host")
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


def test_adopted_resources_are_refreshed_after_a_second_kill() -> None:
    make_role("new")
    read = {"urn": f"{URN}-old", "type": ROLE, "id": "old", "outputs": {"arn": "arn"}}
    component = {"urn": URN, "type": "slipway:index:Network"}
    assert recovery.unread({"deployment": {"resources": [component, read]}}) == []
    resources = recovered([creating(ROLE, {"name": "new"}, f"{URN}-new")], [component, read])
    assert recovery.unread({"deployment": {"resources": resources}}) == ["it-new"]
    resources[-1]["outputs"] = {"arn": "arn"}
    assert recovery.unread({"deployment": {"resources": resources}}) == []
    assert recovery.unread({"deployment": {}}) == []


def test_a_parameter_is_made_again_since_read_back_it_would_differ_for_ever() -> None:
    ssm = boto3.client("ssm", "us-east-1")
    ssm.put_parameter(Name="/slipway/dev/release", Value="{}", Type="String")
    assert found("aws:ssm/parameter:Parameter", {"name": "/slipway/dev/release"}) is None
    assert ssm.describe_parameters()["Parameters"] == []


class DlmClients:
    """Clients of an account with two policies of Data Lifecycle Manager, which moto does not have."""

    def client(self, service: str) -> "DlmClients":
        assert service == "dlm"
        return self

    def get_lifecycle_policies(self) -> dict[str, Any]:
        stacks = {"dev": "policy-1", "prod": "policy-2"}
        return {
            "Policies": [{"PolicyId": each, "Description": f"Snapshots of {name}"} for name, each in stacks.items()]
        }


@pytest.mark.parametrize(("stack", "policy"), [("prod", "policy-2"), ("prod-eu", None)])
def test_a_snapshot_policy_is_found_by_its_description(stack: str, policy: str | None) -> None:
    find = recovery.FINDERS["aws:dlm/lifecyclePolicy:LifecyclePolicy"]
    clients: Any = DlmClients()
    assert find(clients, {"description": f"Snapshots of {stack}"}) == policy
