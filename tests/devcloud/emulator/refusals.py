"""What AWS says when it refuses."""

import pytest
from botocore.exceptions import ClientError


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    """The code and the message of an AWS error."""
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
