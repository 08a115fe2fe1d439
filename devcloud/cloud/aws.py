"""Clients of the emulator, with the key of this machine's operator or of a role."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"


class AwsClients:
    """The boto3 clients of one emulator, each made at its first use."""

    def __init__(self, endpoint: str | None, credentials: Mapping[str, str]) -> None:
        """Take credentials by the names of AWS's environment variables."""
        self._endpoint = endpoint
        # A session of our own takes no profile or environment of the user's.
        self._session = boto3.Session(
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        )
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = REGION) -> Any:
        """Return the client of a service."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(  # type: ignore[call-overload]
                service, region, endpoint_url=self._endpoint, config=Config(proxies={}, retries={"max_attempts": 1})
            )
        return self._clients[service, region]

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        """Return all items of an operation under `key`, from all its pages."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**parameters).get(key, []))
        pages = client.get_paginator(operation).paginate(**parameters)
        return [item for page in pages for item in page.get(key, [])]
