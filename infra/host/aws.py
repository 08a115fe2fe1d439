"""The few calls to AWS that the host makes, by the standard library: parameters, registry, roles, metrics, logs.

The credentials are the instance's own, from its metadata service (IMDSv2).
"""

from __future__ import annotations

import datetime
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.etree import ElementTree

from infra.host.sigv4 import Credentials, signed_headers
from infra.host.untrusted import json_object

TIMEOUT_SECONDS = 10
METADATA = "http://169.254.169.254"
SESSION_SECONDS = "300"
PARAMETERS_A_CALL = 10
"""AWS's limit for GetParameters."""
ROLE_SECONDS = "3600"
"""The longest that one role may have another's credentials for (role chaining)."""


class AwsError(Exception):
    """AWS did not answer, or refused; the message is the end of a sentence that names the call."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """AWS's own name of the error; empty if AWS did not answer."""


@dataclass(frozen=True)
class Login:
    """Access to a registry for some hours."""

    registry: str
    """Its host, with its port if it has one."""
    token: str
    """user:password in base64, as Docker keeps it."""


@dataclass(frozen=True)
class LogEvent:
    """A line of a log, with its time since 1970."""

    milliseconds: int
    message: str


@dataclass(frozen=True)
class Datum:
    """A value of a metric, now."""

    name: str
    value: float
    unit: str = "Count"
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """Values that tell it from other metrics of its name."""


class Aws(Protocol):
    """AWS, as the host uses it. Every call raises AwsError."""

    def parameter(self, name: str) -> str | None:
        """Return a parameter's value; None if there is none."""

    def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the decrypted values of parameters, each named with its version: `/path/name:3`."""

    def login(self) -> Login:
        """Return access to the account's registry."""

    def assume(self, role: str, session: str) -> Credentials:
        """Return credentials of a role."""

    def put_metrics(self, namespace: str, data: Sequence[Datum]) -> None:
        """Publish values of metrics."""

    def put_log_events(self, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Write lines, in order of time, to a stream of a log group, which is created if it is missing."""


@dataclass(frozen=True)
class Client:
    """AWS by HTTP."""

    region: str
    endpoint: str | None = None
    """Another address for all services (AWS_ENDPOINT_URL)."""
    metadata: str = METADATA

    def parameter(self, name: str) -> str | None:
        try:
            answer = self._json("ssm", "AmazonSSM.GetParameter", {"Name": name})
        except AwsError as error:
            if error.code == "ParameterNotFound":
                return None
            raise
        return str(answer["Parameter"]["Value"])

    def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        values: dict[str, str] = {}
        for start in range(0, len(names), PARAMETERS_A_CALL):
            part = list(names[start : start + PARAMETERS_A_CALL])
            answer = self._json("ssm", "AmazonSSM.GetParameters", {"Names": part, "WithDecryption": True})
            if missing := answer.get("InvalidParameters"):
                raise AwsError(f"has no parameter {', '.join(missing)}", "ParameterNotFound")
            values.update({f"{one['Name']}:{one['Version']}": one["Value"] for one in answer["Parameters"]})
        return values

    def login(self) -> Login:
        target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
        answer = self._json("ecr", target, {}, host=f"api.ecr.{self.region}.amazonaws.com")
        data = answer["authorizationData"][0]
        return Login(urllib.parse.urlsplit(data["proxyEndpoint"]).netloc, data["authorizationToken"])

    def assume(self, role: str, session: str) -> Credentials:
        fields = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": session,
            "DurationSeconds": ROLE_SECONDS,
        }
        text = self._query("sts", fields)
        # The answer comes from AWS over TLS, so the XML is trusted.
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(text).iter()}  # noqa: S314
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], found["Expiration"])

    def put_metrics(self, namespace: str, data: Sequence[Datum]) -> None:
        fields = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": namespace}
        for number, datum in enumerate(data, 1):
            prefix = f"MetricData.member.{number}"
            fields[f"{prefix}.MetricName"] = datum.name
            fields[f"{prefix}.Value"] = f"{datum.value:.3f}"
            fields[f"{prefix}.Unit"] = datum.unit
            for place, (name, value) in enumerate(datum.dimensions.items(), 1):
                fields[f"{prefix}.Dimensions.member.{place}.Name"] = name
                fields[f"{prefix}.Dimensions.member.{place}.Value"] = value
        self._query("monitoring", fields)

    def put_log_events(self, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        where = {"logGroupName": group, "logStreamName": stream}
        body = {**where, "logEvents": [{"timestamp": one.milliseconds, "message": one.message} for one in events]}
        try:
            self._json("logs", "Logs_20140328.PutLogEvents", body)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self._json("logs", "Logs_20140328.CreateLogStream", where)
            self._json("logs", "Logs_20140328.PutLogEvents", body)

    def _query(self, service: str, fields: Mapping[str, str]) -> str:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self._post(service, headers, urllib.parse.urlencode(fields).encode())

    def _json(self, service: str, target: str, body: Mapping[str, Any], host: str | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        # Some calls answer with nothing.
        answer = json.loads(self._post(service, headers, json.dumps(body).encode(), host) or "{}")
        assert isinstance(answer, dict)  # noqa: S101 - for mypy
        return answer

    def _post(self, service: str, headers: Mapping[str, str], body: bytes, host: str | None = None) -> str:
        url = self.endpoint or f"https://{host or f'{service}.{self.region}.amazonaws.com'}"
        signed = signed_headers(
            self._own_credentials(),
            service=service,
            region=self.region,
            host=urllib.parse.urlsplit(url).netloc,
            headers=headers,
            body=body,
            now=datetime.datetime.now(datetime.timezone.utc),
        )
        return _answer(urllib.request.Request(f"{url}/", body, signed))  # noqa: S310 - an address of AWS

    def _own_credentials(self) -> Credentials:
        """Return the instance's credentials. They are asked for each time: the service keeps them fresh."""
        token = self._metadata("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": SESSION_SECONDS})
        headers = {"X-aws-ec2-metadata-token": token}
        path = "/latest/meta-data/iam/security-credentials/"
        role = self._metadata("GET", path, headers).split()[0]
        found = json.loads(self._metadata("GET", path + role, headers))
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"], found["Expiration"])

    def _metadata(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        request = urllib.request.Request(self.metadata + path, headers=dict(headers), method=method)  # noqa: S310
        try:
            return _answer(request)
        except AwsError as error:
            raise AwsError(f"gave the instance no credentials (metadata service: {error})", error.code) from None


def _answer(request: urllib.request.Request) -> str:
    """Return the text of an answer. Requests pass no proxy: a proxy must not see credentials."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return str(response.read().decode("utf-8"))
    except urllib.error.HTTPError as error:
        raise _refusal(error.code, error.read().decode("utf-8", "replace")) from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise AwsError(f"did not answer ({reason})") from None


def _refusal(status: int, text: str) -> AwsError:
    """Return AWS's own words about a refused request, which are in JSON or in XML."""
    code, message = "", ""
    if body := json_object(text):
        code = str(body.get("__type") or body.get("code") or "").rpartition("#")[2]
        message = str(body.get("message") or body.get("Message") or "")
    else:
        for part in ("Code", "Message"):
            inner = text.partition(f"<{part}>")[2].partition(f"</{part}>")[0]
            code, message = (inner, message) if part == "Code" else (code, inner)
    return AwsError(f"refused with {status} {code}: {message[:300]}".strip(": "), code or str(status))
