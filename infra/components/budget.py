"""A month's budget: whoever pays is told before it is used up."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.settings import models as settings

WARN_PERCENT = 80


@dataclass(frozen=True)
class BudgetArgs:
    """The limit of a month, and who hears of it."""

    prefix: str
    spec: settings.Budget
    email: str


class Budget(pulumi.ComponentResource):
    """An AWS budget of the account, with a warning by e-mail when the forecast passes 80 % of it."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Budget", name, None, opts)
        aws.budgets.Budget(
            "monthly-budget",
            name=f"{args.prefix}-monthly",
            budget_type="COST",
            limit_amount=str(args.spec.monthly_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": WARN_PERCENT,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": "FORECASTED",
                    "subscriber_email_addresses": [args.email],
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
