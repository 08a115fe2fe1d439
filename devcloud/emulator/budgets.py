"""Budgets: changing a budget, its tags, and who is told of a notification, which moto leaves out."""

import json
from typing import Any, cast

from moto.budgets import urls
from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget, BudgetsBackend, Notification, budgets_backends
from moto.budgets.responses import BudgetsResponse
from moto.utilities.tagging_service import TaggingService

from devcloud.emulator import moto_overrides


class TaggedBudgetsBackend(BudgetsBackend):
    """moto's, and the tags of each budget by its name."""

    _url_module = urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tags = TaggingService("ResourceTags")

    def budget(self, account: str, name: str) -> Budget:
        """The budget itself, where moto only hands out copies."""
        found = self.budgets[account].get(name)
        if not found:
            raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
        return found

    def delete_budget(self, account_id: str, budget_name: str) -> None:
        """DeleteBudget: the tags go too."""
        super().delete_budget(account_id, budget_name)
        self.tags.delete_all_tags_for_resource(budget_name)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions mean the same notification: 80 is 80.0, and none is PERCENTAGE."""

    def key(notification: dict[str, Any]) -> tuple[Any, ...]:
        return (
            notification["NotificationType"],
            notification["ComparisonOperator"],
            float(notification["Threshold"]),
            notification.get("ThresholdType") or "PERCENTAGE",
        )

    return key(one) == key(other)


class Response(BudgetsResponse):
    """The calls that terraform-provider-aws makes for a budget and moto does not know."""

    def create_budget(self) -> str:
        answer = super().create_budget()
        self._tags().tag_resource(self._get_param("Budget")["BudgetName"], self._get_param("ResourceTags"))
        return answer

    def update_budget(self) -> str:
        """UpdateBudget: the new description replaces the old; notifications stay."""
        new = self._get_param("NewBudget")
        budget = self._budget(new["BudgetName"])
        # A Budget made anew fills in what the description leaves out, and refuses what AWS refuses.
        budget.budget = Budget(new, []).budget
        return "{}"

    def delete_notification(self) -> str:
        """DeleteNotification, by what it means: moto compares spellings."""
        budget, notification = self._budget(self._get_param("BudgetName")), self._notification()
        budget.notifications.remove(notification)
        return "{}"

    def update_notification(self) -> str:
        self._notification("OldNotification").details = self._get_param("NewNotification")
        return "{}"

    def describe_subscribers_for_notification(self) -> str:
        return json.dumps({"Subscribers": self._notification().subscribers})

    def create_subscriber(self) -> str:
        self._subscribers().append(self._get_param("Subscriber"))
        return "{}"

    def delete_subscriber(self) -> str:
        self._subscribers().remove(self._get_param("Subscriber"))
        return "{}"

    def list_tags_for_resource(self) -> str:
        return json.dumps(self._tags().list_tags_for_resource(self._named_by_arn()))

    def tag_resource(self) -> str:
        self._tags().tag_resource(self._named_by_arn(), self._get_param("ResourceTags"))
        return "{}"

    def untag_resource(self) -> str:
        self._tags().untag_resource_using_names(self._named_by_arn(), self._get_param("ResourceTagKeys"))
        return "{}"

    def _tags(self) -> TaggingService:
        return cast(TaggedBudgetsBackend, self.backend).tags

    def _named_by_arn(self) -> str:
        """The budget's name, out of `arn:aws:budgets::<account>:budget/<name>`."""
        return str(self._get_param("ResourceARN")).split("/", 1)[1]

    def _budget(self, name: str) -> Budget:
        return cast(TaggedBudgetsBackend, self.backend).budget(self._get_param("AccountId"), name)

    def _notification(self, parameter: str = "Notification") -> Notification:
        asked = self._get_param(parameter)
        for notification in self._budget(self._get_param("BudgetName")).notifications:
            if same(notification.details, asked):
                return notification
        raise NotFoundException("Unable to find notification - the notification doesn't exist.")

    def _subscribers(self) -> list[dict[str, str]]:
        # moto calls it a dict; it is the request's list.
        return cast(list[dict[str, str]], self._notification().subscribers)


def install() -> None:
    moto_overrides.install(budgets_backends, TaggedBudgetsBackend, urls, Response)
