"""Settings from the environment: what is missing or wrong is one sentence."""

import pytest

from app.common import environment as env


def test_a_missing_setting_is_named_with_an_example() -> None:
    with pytest.raises(env.SettingError, match=r"JOBS_QUEUE_URL is not set .*: give it an address like https://"):
        env.queue_url({})


def test_an_empty_setting_counts_as_missing() -> None:
    with pytest.raises(env.SettingError, match="AWS_REGION is not set"):
        env.region({"AWS_REGION": " "})


def test_a_wrong_address_is_refused_without_its_password() -> None:
    with pytest.raises(env.SettingError) as refused:
        env.database_url("asyncpg", {"DATABASE_URL": "mysql://root:hunter2@host/labs"})
    assert "DATABASE_URL begins with 'mysql'" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_database_address_gets_the_driver_that_reads_it(scheme: str) -> None:
    url = env.database_url("psycopg", {"DATABASE_URL": f"{scheme}://u:p%40ss@host:5432/labs"})
    assert url == "postgresql+psycopg://u:p%40ss@host:5432/labs"


@pytest.mark.parametrize(("driver", "name"), [("psycopg", "sslmode"), ("asyncpg", "ssl")])
def test_each_driver_is_told_of_encryption_by_its_own_name(driver: str, name: str) -> None:
    url = env.database_url(driver, {"DATABASE_URL": "postgresql://u:p@host/labs?application_name=a&sslmode=require"})
    assert url == f"postgresql+{driver}://u:p@host/labs?application_name=a&{name}=require"


def test_the_log_level_is_info_unless_said_otherwise() -> None:
    assert env.log_level({}) == "INFO"
    assert env.log_level({"LOG_LEVEL": "debug"}) == "DEBUG"
    with pytest.raises(env.SettingError, match="LOG_LEVEL is 'LOUD': give it one of DEBUG, INFO"):
        env.log_level({"LOG_LEVEL": "loud"})
