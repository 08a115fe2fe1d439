"""The queue between the API and the worker, and the one that takes what the worker cannot do."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.lib.canonical_json import canonical_json
from infra.settings import models as settings

DAY_SECONDS = 24 * 60 * 60
DEAD_LETTER_RETENTION_SECONDS = 14 * DAY_SECONDS
"""The longest that SQS keeps a message, from when it was first sent: ten days more, with the default retention."""


@dataclass(frozen=True)
class JobsArgs:
    """How the queue behaves."""

    prefix: str
    spec: settings.Jobs


class Jobs(pulumi.ComponentResource):
    """An SQS queue with its dead-letter queue."""

    url: pulumi.Output[str]
    arn: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]
    dead_letter_arn: pulumi.Output[str]
    names: tuple[pulumi.Output[str], pulumi.Output[str]]
    """Names of the queue and of its dead-letter queue."""

    def __init__(self, name: str, args: JobsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Jobs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        dead = aws.sqs.Queue(
            "dead-jobs",
            # Not `-dead-jobs`: that is the name of the queue of a stack that is called `<stack>-dead`.
            name=f"{args.prefix}-jobs-dead",
            message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        queue = aws.sqs.Queue(
            "jobs",
            name=f"{args.prefix}-jobs",
            visibility_timeout_seconds=args.spec.visibility_timeout_seconds,
            message_retention_seconds=args.spec.retention_days * DAY_SECONDS,
            receive_wait_time_seconds=20,  # long polling: fewer calls, the same promptness
            sqs_managed_sse_enabled=True,
            redrive_policy=dead.arn.apply(
                lambda arn: canonical_json({"deadLetterTargetArn": arn, "maxReceiveCount": args.spec.max_receive_count})
            ),
            opts=child,
        )
        self.url = queue.url
        self.arn = queue.arn
        self.dead_letter_url = dead.url
        self.dead_letter_arn = dead.arn
        self.names = (queue.name, dead.name)
        self.register_outputs({"url": self.url})
