"""Alarms, the topic that carries them to a person, and a dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.lib import cloudwatch_dashboard
from infra.lib.alarms import (
    DATA_DISK,
    FAILED_RELEASES,
    MEMORY,
    RESTARTS,
    ROOT_DISK,
    SERVER_ERRORS,
    SERVING,
    Alarm,
    Metric,
    Watched,
    alarms,
)
from infra.lib.cloudwatch_dashboard import Graph, Line
from infra.settings import models as settings

EC2, EBS = "AWS/EC2", "AWS/EBS"


@dataclass(frozen=True)
class OperationsArgs:
    """The parts that are watched, and who is told."""

    prefix: str
    """Of all names; also the namespace of the metrics that the host publishes."""
    region: str
    spec: settings.Alerts
    watched: Watched
    instance_id: pulumi.Input[str]
    log_group: str
    """The log group of the host's containers."""
    queues: Sequence[pulumi.Input[str]] = ()
    """Names of the SQS queues that the dashboard shows."""
    snapshot_policy_id: pulumi.Input[str] | None = None
    """The policy that makes the snapshots, if the stack has one."""


class Operations(pulumi.ComponentResource):
    """A CloudWatch alarm for each row of the table, a dashboard, and an SNS topic if somebody is to be told."""

    dashboard_name: pulumi.Output[str]

    def __init__(self, name: str, args: OperationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Operations", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        # Without an address the alarms are there all the same: the dashboard shows them, and EC2 acts on its own.
        topic = self._topic(args.spec.email) if args.spec.email else None
        declared = [self._alarm(alarm, topic) for alarm in alarms(args.watched)]
        dashboard = aws.cloudwatch.Dashboard(
            "operations-dashboard",
            dashboard_name=args.prefix,
            dashboard_body=pulumi.Output.all(
                arns=[one.arn for one in declared], instance=args.instance_id, queues=list(args.queues)
            ).apply(
                lambda known: cloudwatch_dashboard.body(
                    region=args.region,
                    alarm_arns=known["arns"],
                    graphs=self._graphs(known["instance"], known["queues"]),
                    errors_of=args.log_group,
                )
            ),
            opts=self._child,
        )
        self.dashboard_name = dashboard.dashboard_name
        self.register_outputs({"dashboardName": self.dashboard_name})

    def _topic(self, email: str) -> aws.sns.Topic:
        """Declare the topic and the subscription, which AWS asks the address to confirm."""
        topic = aws.sns.Topic("alerts", name=f"{self._args.prefix}-alerts", opts=self._child)
        aws.sns.TopicSubscription(
            "alerts-email", topic=topic.arn, protocol="email", endpoint=email, opts=pulumi.ResourceOptions(parent=topic)
        )
        return topic

    def _alarm(self, alarm: Alarm, topic: aws.sns.Topic | None) -> aws.cloudwatch.MetricAlarm:
        """Declare one alarm. The end of an alarm is told too."""
        told: list[pulumi.Input[str]] = [topic.arn] if topic else []
        namespace, dimensions = self._place(alarm.metric)
        action = [f"arn:aws:automate:{self._args.region}:ec2:{alarm.ec2_action}"] if alarm.ec2_action else []
        return aws.cloudwatch.MetricAlarm(
            f"alarm-{alarm.name}",
            name=f"{self._args.prefix}-{alarm.name}",
            alarm_description=alarm.description,
            namespace=namespace,
            metric_name=alarm.metric.name,
            dimensions=dimensions,
            statistic=alarm.statistic,
            period=alarm.period_seconds,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.to_alarm,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.missing,
            alarm_actions=[*told, *action],
            ok_actions=told,
            insufficient_data_actions=told if alarm.notify_without_data else None,
            opts=self._child,
        )

    def _place(self, metric: Metric) -> tuple[str, Mapping[str, pulumi.Input[str]]]:
        """Return the namespace and the dimensions in which a metric is published."""
        if metric.publisher == "EC2":
            return EC2, {"InstanceId": self._args.instance_id}
        if metric.publisher == "DLM":
            assert self._args.snapshot_policy_id is not None  # noqa: S101 - for mypy: only such a stack watches them
            return EBS, {"DLMPolicyId": self._args.snapshot_policy_id}
        return self._args.prefix, metric.dimensions

    def _graphs(self, instance_id: str, queues: Sequence[str]) -> Sequence[Graph]:
        """Return the graphs of the dashboard."""

        def own(metric: Metric, statistic: str) -> Line:
            return Line(self._args.prefix, metric.name, metric.dimensions, statistic)

        def ec2(metric: str, statistic: str) -> Line:
            return Line(EC2, metric, {"InstanceId": instance_id}, statistic)

        disks = [ROOT_DISK, DATA_DISK] if self._args.watched.data_volume else [ROOT_DISK]
        graphs = [
            Graph("Serving (1: the current release answers)", [own(SERVING, "Minimum")]),
            Graph("Server errors and restarts", [own(SERVER_ERRORS, "Sum"), own(RESTARTS, "Maximum")]),
            Graph("Releases that failed", [own(FAILED_RELEASES, "Sum")]),
            Graph("Memory used, %", [own(MEMORY, "Average")]),
            Graph("Disks used, %", [own(disk, "Maximum") for disk in disks]),
            Graph(
                "CPU, %, and CPU credits", [ec2("CPUUtilization", "Average"), ec2("CPUCreditBalance", "Minimum")], 300
            ),
        ]
        waiting = [
            Line("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, "Maximum") for queue in queues
        ]
        return [*graphs, Graph("Jobs that wait or were given up", waiting)] if waiting else graphs
