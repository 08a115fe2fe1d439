"""SQS: policies that come back as they were written, and numbers out of range."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .refusals import refusal

pytestmark = pytest.mark.cloud


@pytest.fixture
def queue(sqs: Any, name: str) -> str:
    """A queue's URL."""
    return str(sqs.create_queue(QueueName=name)["QueueUrl"])


@pytest.fixture
def dead(sqs: Any, name: str) -> str:
    """The ARN of a queue for dead letters."""
    url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    return str(attributes(sqs, url)["QueueArn"])


def attributes(sqs: Any, url: str) -> dict[str, str]:
    """All attributes of a queue."""
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def test_a_redrive_policy_comes_back_as_it_was_written(sqs: Any, queue: str, dead: str) -> None:
    for written in (
        json.dumps({"maxReceiveCount": "5", "deadLetterTargetArn": dead}),
        json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 5}, indent=2),
    ):
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": written})
        assert attributes(sqs, queue)["RedrivePolicy"] == written
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in attributes(sqs, queue)


def test_a_message_received_too_often_goes_to_the_dead_letters(sqs: Any, queue: str, dead: str, name: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    url = sqs.get_queue_url(QueueName=f"{name}-dead")["QueueUrl"]
    assert [each["Body"] for each in sqs.receive_message(QueueUrl=url)["Messages"]] == ["hello"]


def test_a_queue_says_whose_dead_letters_it_takes(sqs: Any, queue: str) -> None:
    written = json.dumps({"redrivePermission": "denyAll"})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedriveAllowPolicy": written})
    assert attributes(sqs, queue)["RedriveAllowPolicy"] == written
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedriveAllowPolicy": ""})
    assert "RedriveAllowPolicy" not in attributes(sqs, queue)


def test_setting_one_attribute_forgets_no_other(sqs: Any, queue: str, dead: str) -> None:
    written = {
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": []}),
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3}),
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=written)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    assert attributes(sqs, queue).items() >= {**written, "VisibilityTimeout": "60"}.items()


@pytest.mark.parametrize(
    ("attribute", "legal", "illegal"),
    [
        ("VisibilityTimeout", ["0", "43200"], ["-1", "43201", "soon"]),
        ("MessageRetentionPeriod", ["60", "1209600"], ["59", "1209601"]),
        ("DelaySeconds", ["0", "900"], ["-1", "901"]),
        ("ReceiveMessageWaitTimeSeconds", ["0", "20"], ["-1", "21"]),
        ("MaximumMessageSize", ["1024", "1048576"], ["1023", "1048577"]),
    ],
)
def test_a_number_out_of_range_is_refused_and_changes_nothing(
    sqs: Any, queue: str, name: str, attribute: str, legal: list[str], illegal: list[str]
) -> None:
    for value in legal:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={attribute: value})
    for value in illegal:
        with pytest.raises(ClientError) as caught:
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={attribute: value})
        expected = ("InvalidAttributeValue", f"Invalid value for the parameter {attribute}.")
        assert refusal(caught) == expected
        with pytest.raises(ClientError) as caught:
            sqs.create_queue(QueueName=f"{name}-other", Attributes={attribute: value})
        assert refusal(caught) == expected
    assert attributes(sqs, queue)[attribute] == legal[-1]


@pytest.mark.parametrize("count", ["0", "1001", "many"])
def test_a_receive_count_out_of_range_is_refused(sqs: Any, queue: str, dead: str, count: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": count})
    with pytest.raises(ClientError) as caught:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    assert refusal(caught)[1].endswith(
        f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."
    )


def test_dead_letters_need_a_queue_that_exists(sqs: Any, name: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:no", "maxReceiveCount": 1})
    with pytest.raises(ClientError) as caught:
        sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})
    assert refusal(caught) == (
        "InvalidParameterValue",
        f"Value {policy} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
    )


def test_a_redrive_policy_that_is_no_json_is_refused(sqs: Any, queue: str) -> None:
    with pytest.raises(ClientError) as caught:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": "no"})
    assert refusal(caught)[0] == "InvalidParameterValue"


@pytest.mark.parametrize("seconds", [-1, 43201])
def test_a_messages_visibility_out_of_range_is_refused(sqs: Any, queue: str, seconds: int) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    message = sqs.receive_message(QueueUrl=queue)["Messages"][0]
    with pytest.raises(ClientError) as caught:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds)
    assert refusal(caught)[0] == "InvalidParameterValue"
