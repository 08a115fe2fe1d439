"""Budgets: changes, tags, and who is told."""

from typing import Any

import pytest

pytestmark = pytest.mark.cloud

ACCOUNT = "123456789012"
NOTIFICATION = {
    "NotificationType": "ACTUAL",
    "ComparisonOperator": "GREATER_THAN",
    "Threshold": 80,
    "ThresholdType": "PERCENTAGE",
}
ONE = {"SubscriptionType": "EMAIL", "Address": "one@example.com"}
TWO = {"SubscriptionType": "EMAIL", "Address": "two@example.com"}


def budget_of(name: str, amount: str = "50") -> dict[str, Any]:
    """A monthly budget in dollars."""
    return {
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": amount, "Unit": "USD"},
    }


@pytest.fixture
def budget(budgets: Any, name: str) -> dict[str, str]:
    """A budget with one notification, as each call names it."""
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget=budget_of(name),
        NotificationsWithSubscribers=[{"Notification": NOTIFICATION, "Subscribers": [ONE]}],
        ResourceTags=[{"Key": "a", "Value": "b"}],
    )
    return {"AccountId": ACCOUNT, "BudgetName": name}


def told(budgets: Any, budget: dict[str, str], notification: dict[str, Any]) -> list[dict[str, str]]:
    """The subscribers of a notification."""
    answer = budgets.describe_subscribers_for_notification(**budget, Notification=notification)
    subscribers: list[dict[str, str]] = answer["Subscribers"]
    return subscribers


def test_a_notification_has_its_subscribers_however_it_is_spelled(budgets: Any, budget: dict[str, str]) -> None:
    assert told(budgets, budget, NOTIFICATION) == [ONE]
    spelled = {key: value for key, value in NOTIFICATION.items() if key != "ThresholdType"}
    assert told(budgets, budget, {**spelled, "Threshold": 80.0}) == [ONE]


def test_subscribers_come_and_go(budgets: Any, budget: dict[str, str]) -> None:
    budgets.create_subscriber(**budget, Notification=NOTIFICATION, Subscriber=TWO)
    budgets.delete_subscriber(**budget, Notification=NOTIFICATION, Subscriber=ONE)
    assert told(budgets, budget, NOTIFICATION) == [TWO]


def test_a_notification_is_changed_and_deleted(budgets: Any, budget: dict[str, str]) -> None:
    changed = {**NOTIFICATION, "Threshold": 90}
    budgets.update_notification(**budget, OldNotification=NOTIFICATION, NewNotification=changed)
    assert told(budgets, budget, changed) == [ONE]
    budgets.delete_notification(**budget, Notification=changed)
    assert budgets.describe_notifications_for_budget(**budget)["Notifications"] == []
    with pytest.raises(budgets.exceptions.NotFoundException):
        told(budgets, budget, changed)


def test_a_changed_budget_keeps_its_notifications(budgets: Any, budget: dict[str, str]) -> None:
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget_of(budget["BudgetName"], "60"))
    assert budgets.describe_budget(**budget)["Budget"]["BudgetLimit"]["Amount"] == "60"
    assert told(budgets, budget, NOTIFICATION) == [ONE]


def test_a_budget_that_is_not_there_is_not_changed(budgets: Any, name: str) -> None:
    with pytest.raises(budgets.exceptions.NotFoundException):
        budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget_of(name))


def test_a_budget_has_its_tags_until_it_goes(budgets: Any, budget: dict[str, str]) -> None:
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{budget['BudgetName']}"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "c", "Value": "d"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["a"])
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "c", "Value": "d"}]
    budgets.delete_budget(**budget)
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == []
