"""The inventory: what someone made, and nothing that an account has anyway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devcloud.cloud.aws import AwsClients
from devcloud.cloud.inventory import inventory
from infra.lib import iam
from tests.devcloud.emulator.conftest import Emulator, running

pytestmark = pytest.mark.cloud

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
NOTHING_ALLOWED = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that other tests' leftovers are not in."""
    with running(tmp_path_factory.mktemp("inventory")) as emulator:
        yield emulator


def clients(emulator: Emulator) -> AwsClients:
    """The operator's clients."""
    return AwsClients(emulator.aws, emulator.operator.variables())


@pytest.fixture
def fresh(own: Emulator) -> Emulator:
    """It, as if nobody had used it."""
    own.post("/moto-api/reset")
    return own


def test_a_new_account_has_nothing_of_anyones(fresh: Emulator) -> None:
    assert inventory(clients(fresh)) == {}
    # Asking for what AWS publishes, and whatever moto makes of a service's first use, leaves nothing either.
    path = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    fresh.client("ssm").get_parameter(Name=path)
    assert inventory(clients(fresh)) == {}


def test_it_names_what_was_made_until_it_is_taken_away(fresh: Emulator) -> None:
    ec2, ecs, iam, sqs = (fresh.client(service) for service in ("ec2", "ecs", "iam", "sqs"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    group = ec2.create_security_group(GroupName="api", Description="d", VpcId=vpc)["GroupId"]
    started = ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[group]
    )["Instances"][0]
    address = ec2.allocate_address()["AllocationId"]
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "n", "image": "i", "memory": 100}])
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    url = sqs.create_queue(QueueName="q")["QueueUrl"]

    found = inventory(clients(fresh))
    assert found.pop("network interfaces")
    assert found.pop("volumes")
    assert found == {
        "VPCs": [vpc],
        "clusters": ["arn:aws:ecs:us-east-1:123456789012:cluster/c"],
        "elastic addresses": [address],
        "instances": [started["InstanceId"]],
        "internet gateways": [gateway],
        "queues": [url],
        "roles": ["r"],
        "route tables": [table],
        "security groups": [group],
        "subnets": [subnet],
        "task definitions": ["arn:aws:ecs:us-east-1:123456789012:task-definition/f:1"],
    }

    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
    ec2.release_address(AllocationId=address)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_route_table(RouteTableId=table)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    ecs.delete_cluster(cluster="c")
    iam.delete_role(RoleName="r")
    sqs.delete_queue(QueueUrl=url)
    assert list(inventory(clients(fresh))) == ["task definitions"]


MADE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "buckets": ("s3", "create_bucket", {"Bucket": "bucket"}),
    "dashboards": ("cloudwatch", "put_dashboard", {"DashboardName": "d", "DashboardBody": '{"widgets": []}'}),
    "event rules": ("events", "put_rule", {"Name": "r", "ScheduleExpression": "rate(1 day)"}),
    "identity providers": (
        "iam",
        "create_open_id_connect_provider",
        {"Url": "https://example.com", "ThumbprintList": ["0" * 40]},
    ),
    "instance profiles": ("iam", "create_instance_profile", {"InstanceProfileName": "p"}),
    "key pairs": ("ec2", "create_key_pair", {"KeyName": "k"}),
    "keys": ("kms", "create_key", {}),
    "launch templates": (
        "ec2",
        "create_launch_template",
        {"LaunchTemplateName": "t", "LaunchTemplateData": {"InstanceType": "t2.small"}},
    ),
    "log groups": ("logs", "create_log_group", {"logGroupName": "l"}),
    "metric alarms": (
        "cloudwatch",
        "put_metric_alarm",
        {
            "AlarmName": "a",
            "MetricName": "m",
            "Namespace": "n",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Statistic": "Maximum",
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    ),
    "parameters": ("ssm", "put_parameter", {"Name": "/p", "Value": "v", "Type": "String"}),
    "policies": ("iam", "create_policy", {"PolicyName": "p", "PolicyDocument": NOTHING_ALLOWED}),
    "repositories": ("ecr", "create_repository", {"repositoryName": "inventory/r"}),
    "secrets": ("secretsmanager", "create_secret", {"Name": "s", "SecretString": "v"}),
    "SSM associations": ("ssm", "create_association", {"Name": "AWS-RunShellScript"}),
    "SSM documents": (
        "ssm",
        "create_document",
        {
            "Name": "document",
            "DocumentType": "Command",
            "Content": json.dumps({"schemaVersion": "2.2", "mainSteps": []}),
        },
    ),
    "topics": ("sns", "create_topic", {"Name": "t"}),
    "users": ("iam", "create_user", {"UserName": "u"}),
}


def make_snapshot_policy(fresh: Emulator) -> None:
    trust = iam.assume_role_for_snapshots("us-east-1", "123456789012")
    role = fresh.client("iam").create_role(RoleName="snapshots", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    schedule = {
        "Name": "nightly",
        "CreateRule": {"CronExpression": "cron(0 3 * * ? *)"},
        "RetainRule": {"Count": 7},
    }
    fresh.client("dlm").create_lifecycle_policy(
        Description="nightly",
        ExecutionRoleArn=role,
        State="ENABLED",
        PolicyDetails={
            "ResourceTypes": ["VOLUME"],
            "TargetTags": [{"Key": "Snapshots", "Value": "s"}],
            "Schedules": [schedule],
        },
    )


def test_every_other_kind_that_is_made_is_named(fresh: Emulator) -> None:
    for service, operation, parameters in MADE.values():
        getattr(fresh.client(service), operation)(**parameters)
    fresh.client("budgets").create_budget(
        AccountId="123456789012",
        Budget={
            "BudgetName": "b",
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "1", "Unit": "USD"},
        },
    )
    make_snapshot_policy(fresh)
    topic = fresh.client("sns").create_topic(Name="t")["TopicArn"]
    fresh.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="team@example.com")
    assert sorted(inventory(clients(fresh))) == sorted(
        [*MADE, "budgets", "roles", "snapshot policies", "subscriptions"]
    )


def test_services_tasks_and_scaling_are_named(fresh: Emulator) -> None:
    ec2, ecs, scaling = (fresh.client(service) for service in ("ec2", "ecs", "application-autoscaling"))
    ecs.create_cluster(clusterName="c")
    ecs.create_service(cluster="c", serviceName="s", desiredCount=0)
    ecs.register_task_definition(
        family="f",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "n", "image": "i"}],
    )
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
    ecs.run_task(cluster="c", taskDefinition="f", launchType="FARGATE", networkConfiguration=network)
    which = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/c/s",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**which, MinCapacity=0, MaxCapacity=1)
    scaling.put_scaling_policy(
        **which,
        PolicyName="p",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ExactCapacity", "StepAdjustments": []},
    )
    found = inventory(clients(fresh))
    assert [name.split("/")[-1] for name in found["services"]] == ["s"]
    assert len(found["tasks"]) == 1
    assert found["scalable targets"] == ["service/c/s"]
    assert found["scaling policies"] == ["p"]
