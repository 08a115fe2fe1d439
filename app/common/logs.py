"""Structured logs: one JSON object a line on standard error, for CloudWatch Logs or a person with jq."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# What every record has by itself; anything else came in through `extra` and belongs in the line.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered: every line that it causes carries its id."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC, ISO 8601), level, logger, message, request, and what `extra` holds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Values that JSON does not know are written as text."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := request_id.get():
            line["request_id"] = request
        line |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Send every logger of this process to standard error as JSON, from `level` (INFO, ...) upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # They tell of each header at DEBUG, and of each plugin at INFO: noise at best, credentials at worst.
    for noisy in ("alembic", "asyncio", "botocore", "httpcore", "httpx", "limits", "openai", "urllib3"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
