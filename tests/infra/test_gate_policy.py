"""The rights in docs/gate-policy.json for the pin of a rollback: two parameters by name, and no secret."""

import json

import pytest

from devcloud.emulator.policies import Call, Verdict, judge
from infra.releases import graph, pin
from tests.infra.conftest import PRODUCT, ROOT, settings_of

SETTINGS = settings_of("dev")
PLACES = {"REGION": SETTINGS.region, "ACCOUNT": "123456789012", "PROJECT": SETTINGS.project, "STACK": SETTINGS.stack}
PIN = pin.parameter(SETTINGS.parameter_path)
READ = [PIN, graph.verified_parameter(SETTINGS)]


def allows(action: str, *parameters: str) -> bool:
    """Return True if the documented policy lets somebody make a call that concerns these parameters."""
    text = (ROOT / "docs" / "gate-policy.json").read_text()
    for word, value in PLACES.items():
        text = text.replace(f":{word}", f":{value}").replace(f"/{word}", f"/{value}")
    arns = tuple(f"arn:aws:ssm:{SETTINGS.region}:{PLACES['ACCOUNT']}:parameter{name}" for name in parameters)
    return judge([json.dumps(json.loads(text))], Call(action, arns)).verdict is Verdict.ALLOWED


def test_the_pin_is_found_and_deleted_with_the_documented_rights() -> None:
    assert allows("ssm:GetParameters", *READ)
    assert allows("ssm:GetParameterHistory", READ[1])
    assert allows("ssm:DeleteParameter", PIN)


@pytest.mark.parametrize("action", ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"])
def test_they_open_no_secret(action: str) -> None:
    path = SETTINGS.parameter_path
    assert PRODUCT.secrets
    assert not any(allows(action, f"{path}/{secret}") for secret in PRODUCT.secrets)
    assert not allows(action, path)


def test_nothing_but_the_pin_may_be_deleted() -> None:
    assert not allows("ssm:DeleteParameter", READ[1])
