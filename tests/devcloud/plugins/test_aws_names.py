"""Names between pulumi-aws and the bridge over Terraform's AWS provider."""

from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from devcloud.plugins import aws_names
from devcloud.plugins.aws_names import Properties, settings_to_bridge, settings_to_pulumi, token, urn


@pytest.mark.parametrize(
    ("pulumi_token", "bridge_token"),
    [
        ("aws:ecs/taskDefinition:TaskDefinition", "aws:index/ecsTaskDefinition:EcsTaskDefinition"),
        ("aws:ecr/repository:Repository", "aws:index/ecrRepository:EcrRepository"),
        ("aws:cloudwatch/logGroup:LogGroup", "aws:index/cloudwatchLogGroup:CloudwatchLogGroup"),
        (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "aws:index/vpcSecurityGroupIngressRule:VpcSecurityGroupIngressRule",
        ),
        ("aws:budgets/budget:Budget", "aws:index/budgetsBudget:BudgetsBudget"),
    ],
)
def test_module_and_name_together_give_terraforms_name(pulumi_token: str, bridge_token: str) -> None:
    assert token(pulumi_token) == bridge_token


@pytest.mark.parametrize(
    ("pulumi_token", "bridge_token"),
    [
        ("aws:ec2/instance:Instance", "aws:index/instance:Instance"),
        ("aws:ec2/vpc:Vpc", "aws:index/vpc:Vpc"),
        ("aws:ec2/eipAssociation:EipAssociation", "aws:index/eipAssociation:EipAssociation"),
        ("aws:ec2/getSubnets:getSubnets", "aws:index/getSubnets:getSubnets"),
    ],
)
def test_what_is_older_than_the_ec2_prefix_has_none(pulumi_token: str, bridge_token: str) -> None:
    assert token(pulumi_token) == bridge_token


def test_what_came_with_the_ec2_prefix_keeps_it() -> None:
    assert token("aws:ec2/tag:Tag") == "aws:index/ec2Tag:Ec2Tag"
    assert token("aws:ec2/getInstanceType:getInstanceType") == "aws:index/getEc2InstanceType:getEc2InstanceType"


def test_a_function_of_no_module_keeps_its_name() -> None:
    assert token("aws:index/getCallerIdentity:getCallerIdentity") == "aws:index/getCallerIdentity:getCallerIdentity"


def test_a_function_of_a_module_has_the_module_after_get() -> None:
    assert token("aws:ssm/getParameter:getParameter") == "aws:index/getSsmParameter:getSsmParameter"


def test_exceptions_are_looked_up() -> None:
    assert token("aws:sqs/redrivePolicy:RedrivePolicy") == "aws:index/sqsQueueRedrivePolicy:SqsQueueRedrivePolicy"
    assert token("aws:iam/openIdConnectProvider:OpenIdConnectProvider").endswith(":IamOpenidConnectProvider")


def test_other_peoples_tokens_stay() -> None:
    assert token("pulumi:providers:aws") == "pulumi:providers:aws"


def test_only_the_last_type_of_a_urn_is_translated() -> None:
    before = "urn:pulumi:dev::slipway::slipway:components:Worker$aws:ecs/service:Service::worker::odd"
    after = "urn:pulumi:dev::slipway::slipway:components:Worker$aws:index/ecsService:EcsService::worker::odd"
    assert urn(before) == after


def test_a_providers_own_urn_stays() -> None:
    provider = "urn:pulumi:dev::slipway::pulumi:providers:aws::aws"
    assert urn(provider) == provider


def _struct(**values: object) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def test_a_renamed_property_goes_there_and_back() -> None:
    properties = Properties("aws:cloudwatch/metricAlarm:MetricAlarm")
    values = _struct(name="alarm", period=60, __defaults=["name", "period"])
    properties.to_bridge(values)
    assert dict(values)["alarmName"] == "alarm"
    assert "name" not in values.fields
    assert list(values["__defaults"]) == ["alarmName", "period"]
    properties.to_pulumi(values)
    assert values == _struct(name="alarm", period=60, __defaults=["name", "period"])


def test_a_path_is_renamed_where_it_begins() -> None:
    properties = Properties("aws:ec2/securityGroup:SecurityGroup")
    assert properties.path_to_bridge("egress[0].fromPort") == "egresses[0].fromPort"
    assert properties.path_to_pulumi("egresses[0].fromPort") == "egress[0].fromPort"
    assert properties.path_to_pulumi("tags.egresses") == "tags.egresses"


def test_an_output_of_a_later_provider_is_copied_and_never_sent_back() -> None:
    properties = Properties("aws:ecs/service:Service")
    values = _struct(name="worker")
    properties.to_pulumi(values, "arn:aws:ecs:worker")
    assert values["arn"] == "arn:aws:ecs:worker"
    properties.to_bridge(values)
    assert values == _struct(name="worker")


def test_a_single_block_of_the_providers_settings_is_a_list_for_the_bridge() -> None:
    settings = _struct(defaultTags='{"tags":{"project":"slipway"}}', region="us-east-1")
    settings_to_bridge(settings)
    assert settings["defaultTags"] == '[{"tags":{"project":"slipway"}}]'
    settings_to_pulumi(settings)
    assert settings == _struct(defaultTags='{"tags":{"project":"slipway"}}', region="us-east-1")


def test_a_single_block_may_be_structured_already() -> None:
    settings = _struct(defaultTags={"tags": {"project": "slipway"}})
    settings_to_bridge(settings)
    assert settings["defaultTags"][0]["tags"]["project"] == "slipway"
    settings_to_pulumi(settings)
    assert settings == _struct(defaultTags={"tags": {"project": "slipway"}})


def test_a_name_takes_the_place_of_a_prefix_while_the_bridge_checks() -> None:
    inputs = struct_pb2.Struct()
    inputs.update({"namePrefix": "slipway-dev-host-", "description": "the host"})
    prefix = aws_names.name_for_prefix(inputs)
    assert dict(inputs) == {"name": f"slipway-dev-host-{'0' * 26}", "description": "the host"}
    aws_names.prefix_for_name(inputs, prefix)
    assert dict(inputs) == {"namePrefix": "slipway-dev-host-", "description": "the host"}


def test_a_name_without_a_prefix_stays() -> None:
    inputs = struct_pb2.Struct()
    inputs.update({"name": "slipway-dev-host"})
    aws_names.prefix_for_name(inputs, aws_names.name_for_prefix(inputs))
    assert dict(inputs) == {"name": "slipway-dev-host"}


def test_a_single_value_is_a_list_for_the_bridge_and_comes_back_as_it_was() -> None:
    properties = Properties("aws:dlm/lifecyclePolicy:LifecyclePolicy")
    values = struct_pb2.Struct()
    schedules = [{"createRule": {"times": "03:00"}}, {"createRule": {"cronExpression": "cron(0 3 * * ? *)"}}]
    values.update({"policyDetails": {"schedules": schedules, "resourceLocations": "CLOUD"}, "state": "ENABLED"})
    before: Any = json_format.MessageToDict(values)
    properties.to_bridge(values)
    changed: Any = json_format.MessageToDict(values)
    assert changed["policyDetails"] == {
        "schedules": [{"createRule": {"times": ["03:00"]}}, {"createRule": {"cronExpression": "cron(0 3 * * ? *)"}}],
        "resourceLocations": ["CLOUD"],
    }
    properties.to_pulumi(values)
    assert json_format.MessageToDict(values) == before


def test_an_empty_list_of_the_provider_comes_back_to_it() -> None:
    properties = Properties("aws:dlm/lifecyclePolicy:LifecyclePolicy")
    values = struct_pb2.Struct()
    values.update({"policyDetails": {"schedules": [{"createRule": {"times": []}}]}})
    before = json_format.MessageToDict(values)
    properties.to_pulumi(values)
    assert json_format.MessageToDict(values) == {"policyDetails": {"schedules": [{"createRule": {"times": ""}}]}}
    properties.to_bridge(values)
    assert json_format.MessageToDict(values) == before
