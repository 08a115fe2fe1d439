"""Settings from the environment, with one clear sentence for each that is missing or wrong."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingError(ValueError):
    """A setting is missing or wrong. The message is for the person who starts the container."""


def required(name: str, what: str, environment: Mapping[str, str] = os.environ) -> str:
    """The value of the variable `name`; `what` tells a reader of the error what to put there."""
    value = environment.get(name, "").strip()
    if not value:
        raise SettingError(f"{name} is not set in the environment: give it {what}.")
    return value


def address(name: str, schemes: tuple[str, ...], example: str, environment: Mapping[str, str]) -> str:
    """A required address with one of `schemes`.

    The error names the scheme only: an address may hold a password.
    """
    value = required(name, f"an address like {example}", environment)
    scheme = urlsplit(value).scheme
    if scheme not in schemes:
        raise SettingError(
            f"{name} begins with {scheme or 'no scheme'!r}, which is none of {', '.join(schemes)}: "
            f"give it an address like {example}."
        )
    return value


def database_url(driver: str, environment: Mapping[str, str]) -> str:
    """DATABASE_URL (`postgresql://...`) as SQLAlchemy wants it for `driver` (asyncpg, psycopg).

    `sslmode` among its parameters, PostgreSQL's own, is what asyncpg calls `ssl`.
    """
    example = "postgresql://user:password@host:5432/name"
    value = address("DATABASE_URL", ("postgresql", "postgres"), example, environment)
    rest, mark, parameters = value.partition("://")[2].partition("?")
    if driver == "asyncpg":
        parameters = re.sub(r"(^|&)sslmode=", r"\1ssl=", parameters)
    return f"postgresql+{driver}://{rest}{mark}{parameters}"


def redis_url(environment: Mapping[str, str]) -> str:
    """REDIS_URL: the cache, and the counters of rate limits."""
    return address("REDIS_URL", ("redis", "rediss"), "redis://host:6379/0", environment)


def port(environment: Mapping[str, str]) -> int:
    """Return PORT, which the service listens on. Raises SettingError."""
    value = required("PORT", "a number from 1 to 65535", environment)
    if not value.isdecimal() or not 0 < int(value[:6]) < 65_536:
        raise SettingError(f"PORT is {value[:20]!r}: give it a number from 1 to 65535.")
    return int(value)


def queue_url(environment: Mapping[str, str]) -> str:
    """JOBS_QUEUE_URL: the SQS queue that jobs go through."""
    example = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
    return address("JOBS_QUEUE_URL", ("https", "http"), example, environment)


def region(environment: Mapping[str, str]) -> str:
    """AWS_REGION. boto3 itself reads AWS_DEFAULT_REGION only, so it is handed over by name."""
    return required("AWS_REGION", "the region of the queue, like us-east-1", environment)


def log_level(environment: Mapping[str, str]) -> str:
    """LOG_LEVEL, INFO where it is not set."""
    level = environment.get("LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in LOG_LEVELS:
        raise SettingError(f"LOG_LEVEL is {level!r}: give it one of {', '.join(LOG_LEVELS)}.")
    return level
