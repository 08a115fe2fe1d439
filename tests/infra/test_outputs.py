"""The outputs of a stack are what their readers take them for."""

import pytest

from infra.outputs import OutputsError, parse
from tests.infra.conftest import DIGESTS, Run


def test_what_the_program_exports_is_what_its_readers_read(run: Run) -> None:
    _, exported = run()
    outputs = parse("dev", exported)
    assert outputs.digests == DIGESTS
    assert list(outputs.services) == ["migrate", "auth", "api", "dashboard", "caddy"]
    assert outputs.host_memory_mib == 2048
    assert outputs.worker is not None
    assert outputs.worker.service == "slipway-dev-worker"


def test_a_service_is_given_its_own_secrets_and_no_others(run: Run) -> None:
    services = parse("dev", run()[1]).services
    assert {name: sorted(service.secrets) for name, service in services.items()} == {
        "migrate": ["DATABASE_URL"],
        "auth": ["DATABASE_URL", "REDIS_URL"],
        "api": ["DATABASE_URL", "OPENAI_API_KEY", "REDIS_URL"],
        "dashboard": ["DATABASE_URL", "REDIS_URL"],
        "caddy": [],
    }


def test_a_service_is_given_what_its_permissions_need(run: Run) -> None:
    services = parse("dev", run()[1]).services
    assert services["api"].environment.keys() == {
        "SERVICE_TYPE",
        "PORT",
        "AWS_REGION",
        "OPENAI_MODEL",
        "JOBS_QUEUE_URL",
    }
    assert services["dashboard"].environment["RELEASE_PARAMETER"] == "/slipway/dev/release"
    assert "JOBS_QUEUE_URL" not in services["auth"].environment
    assert services["caddy"].environment == {"TRUSTED_PROXIES": ""}


@pytest.mark.parametrize("outputs", [{}, {"images": {}}])
def test_a_stack_that_another_version_deployed_is_one_sentence(outputs: dict[str, object]) -> None:
    with pytest.raises(OutputsError, match=r"^Stack dev does not export what this version .*: bring it up first\.$"):
        parse("dev", outputs)
