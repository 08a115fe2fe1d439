"""Outputs of a stack, for tests of what reads them."""

from typing import Any

from infra.outputs import StackOutputs, parse


def outputs_of(**given: Any) -> StackOutputs:
    """Return the outputs of a stack that exports these, and else nothing of interest."""
    nothing = {
        "region": "us-east-1",
        "images": {},
        "digests": {},
        "contentTags": {},
        "sizeBudgetsMb": {},
        "apiUrl": "http://203.0.113.7:80",
        "apiAddress": "203.0.113.7",
        "apiInstanceId": "i-1",
        "databaseHost": "10.20.0.10",
        "releaseParameter": "/slipway/local/release",
        "verifiedParameter": "/slipway/local/verified",
        "dashboardUrl": "https://console.aws.amazon.com/",
        "monthlyCostUsd": 1,
        "monthlyCostUsdByPart": {},
        "monthlyBudgetUsd": 50,
    }
    return parse("local", {**nothing, **given})
