"""The services share the host's memory."""

from infra.lib.aws_limits import INSTANCE_TYPES
from infra.settings.models import Host
from tests.infra.conftest import PRODUCT


def test_the_services_have_no_more_memory_than_the_default_host() -> None:
    together = sum(service.memory_mib or 0 for service in PRODUCT.services.values())
    assert together <= INSTANCE_TYPES[Host().instance_type].memory_mib
