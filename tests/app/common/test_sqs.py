"""The attributes that SQS has of a queue."""

from app.common.sqs import most_deliveries


def test_a_queue_without_a_redrive_policy_gives_up_nothing() -> None:
    assert most_deliveries({}) is None
    assert most_deliveries({"RedrivePolicy": ""}) is None


def test_the_redrive_policy_says_how_often_a_message_is_delivered() -> None:
    # As AWS answers it, and as it may be given: a number or its digits.
    assert most_deliveries({"RedrivePolicy": '{"deadLetterTargetArn":"arn","maxReceiveCount":5}'}) == 5
    assert most_deliveries({"RedrivePolicy": '{"deadLetterTargetArn":"arn","maxReceiveCount":"5"}'}) == 5
