"""The forwarder between the engine and the bridge: names are translated both ways, and failures passed on."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from devcloud.plugins.aws_forwarder import Forwarder
from devcloud.plugins.protocol import provider_pb2

URN = "urn:pulumi:dev::p::aws:cloudwatch/metricAlarm:MetricAlarm::high"


class Failure(grpc.RpcError):
    """A failure of the bridge."""

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "no such alarm"


class Bridge:
    """A bridge that records what it is asked, and answers with the same properties; it deletes nothing."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def Create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:  # noqa: N802
        self.asked.append(request)
        return provider_pb2.CreateResponse(id="high", properties=request.properties)

    def Delete(self, request: provider_pb2.DeleteRequest) -> None:  # noqa: N802
        raise Failure


class Context:
    """The context of one call of the engine's."""

    def set_trailing_metadata(self, _: object) -> None:
        """Keep nothing."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise RuntimeError(f"{code.name}: {details}")


def properties(**values: str) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def forwarder(bridge: Bridge | None) -> Forwarder:
    made = Forwarder(Path("/no/bridge"), Path("/no/provider"), "")
    made._stub = bridge  # type: ignore[assignment]
    return made


def test_a_call_is_translated_to_the_bridge_and_its_answer_back() -> None:
    bridge = Bridge()
    request = provider_pb2.CreateRequest(urn=URN, properties=properties(name="high"))
    response = forwarder(bridge).Create(request, Context())  # type: ignore[arg-type]
    (asked,) = bridge.asked
    assert asked.urn == "urn:pulumi:dev::p::aws:index/cloudwatchMetricAlarm:CloudwatchMetricAlarm::high"
    assert dict(asked.properties) == {"alarmName": "high"}
    assert dict(response.properties) == {"name": "high"}


def test_a_failure_of_the_bridge_is_passed_on_and_counts_as_nothing_under_way() -> None:
    made = forwarder(Bridge())
    with pytest.raises(RuntimeError, match="UNKNOWN: no such alarm"):
        made.Delete(provider_pb2.DeleteRequest(urn=URN), Context())  # type: ignore[arg-type]
    assert made._in_flight == 0


def test_a_call_before_the_provider_is_configured_is_refused() -> None:
    with pytest.raises(RuntimeError, match="FAILED_PRECONDITION: The AWS provider was called before"):
        forwarder(None).Create(provider_pb2.CreateRequest(urn=URN), Context())  # type: ignore[arg-type]
