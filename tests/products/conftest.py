"""The program under mocks, for other products."""

from tests.infra.conftest import run as run
