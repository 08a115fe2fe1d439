"""`pulumi-resource-aws` for machines that cannot have the official plugin: pulumi-aws over a Terraform AWS provider.

Pulumi's dynamic bridge runs any Terraform provider, under names of its own. This plugin stands where the engine looks
for Pulumi's AWS plugin, starts that bridge with the provider's binary, and hands every call on with the names
translated (see aws_names). The checks, plans and calls are the real provider's.

    python -m devcloud.plugins.aws_forwarder BRIDGE PROVIDER [ENGINE]    the engine starts it, by a launcher
"""

import hashlib
import os
import sys
import threading
from collections.abc import MutableSequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from devcloud.plugins import aws_names, bridges, plugin
from devcloud.plugins.aws_names import Properties, settings_to_bridge, settings_to_pulumi, token, urn
from devcloud.plugins.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc

WORKERS = 128
"""Calls side by side. Most wait for the cloud; the engine sends as many as its `--parallel` says."""


class Forwarder(provider_pb2_grpc.ResourceProviderServicer):
    """The engine's calls, translated. What is not here (schemas, components) the engine does without."""

    def __init__(self, bridge: Path, provider: Path, engine: str) -> None:
        self._bridge_binary = bridge
        self._provider_binary = provider
        self._engine = engine
        self._bridge: bridges.Bridge | None = None
        self._stub: provider_pb2_grpc.ResourceProviderStub | None = None
        self._lock = threading.Lock()
        self._in_flight = 0
        self._spoiled = False

    def GetPluginInfo(  # noqa: N802  the protocol's names, here and below
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version that pulumi-aws asks for."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi-aws"))

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Take another engine."""
        self._engine = request.address
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """The bridge cannot cancel. It is not kept for another run if something is under way."""
        with self._lock:
            self._spoiled = self._spoiled or self._in_flight > 0
        return empty_pb2.Empty()

    def CheckConfig(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Check the provider's settings. That takes the bridge three seconds, so it is not asked the same twice."""
        bridge = self._connect("", context)
        question = f"check {_hash(request.news)}"
        known = bridge.recall(question)
        if known is not None:
            return provider_pb2.CheckResponse.FromString(known)
        settings_to_bridge(request.olds, request.news)
        response: provider_pb2.CheckResponse = self._ask("CheckConfig", request, context)
        settings_to_pulumi(response.inputs)
        if not response.failures:
            bridge.remember(question, response.SerializeToString())
        return response

    def DiffConfig(  # noqa: N802
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """What other settings would mean for the resources."""
        self._connect("", context)
        settings_to_bridge(request.olds, request.news, request.old_inputs)
        response: provider_pb2.DiffResponse = self._ask("DiffConfig", request, context)
        return response

    def Configure(  # noqa: N802
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Configure the provider, unless an earlier run did with the same settings."""
        settings = _hash(request.args)
        bridge = self._connect(settings, context)
        known = bridge.recall("configure")
        if known is not None:
            return provider_pb2.ConfigureResponse.FromString(known)
        settings_to_bridge(request.args)
        self._spoiled = True  # unless it succeeds: the provider cannot be configured again
        response: provider_pb2.ConfigureResponse = self._ask("Configure", request, context)
        self._spoiled = False
        bridge.configured(settings)
        bridge.remember("configure", response.SerializeToString())
        return response

    def Invoke(  # noqa: N802
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Call a function, such as `aws.get_caller_identity`."""
        properties = Properties(request.tok)
        properties.to_bridge(request.args)
        request.tok = token(request.tok)
        response: provider_pb2.InvokeResponse = self._ask("Invoke", request, context)
        properties.to_pulumi(getattr(response, "return"))
        _failures_to_pulumi(response.failures, properties)
        return response

    def Check(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        properties = self._to_bridge(request, request.olds, request.news)
        prefix = aws_names.name_for_prefix(request.news)
        response: provider_pb2.CheckResponse = self._ask("Check", request, context)
        aws_names.prefix_for_name(response.inputs, prefix)
        properties.to_pulumi(response.inputs)
        _failures_to_pulumi(response.failures, properties)
        return response

    def Diff(  # noqa: N802
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        properties = self._to_bridge(request, request.olds, request.news, request.old_inputs)
        _rename_all(request.ignoreChanges, properties.path_to_bridge)
        response: provider_pb2.DiffResponse = self._ask("Diff", request, context)
        for names in (response.replaces, response.stables, response.diffs):
            _rename_all(names, properties.path_to_pulumi)
        for path in list(response.detailedDiff):
            ours = properties.path_to_pulumi(path)
            if ours != path:
                response.detailedDiff[ours].CopyFrom(response.detailedDiff[path])
                del response.detailedDiff[path]
        return response

    def Create(  # noqa: N802
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        properties = self._to_bridge(request, request.properties)
        response: provider_pb2.CreateResponse = self._ask("Create", request, context)
        properties.to_pulumi(response.properties, response.id)
        return response

    def Read(  # noqa: N802
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        properties = self._to_bridge(request, request.properties, request.inputs)
        response: provider_pb2.ReadResponse = self._ask("Read", request, context)
        if response.id:
            properties.to_pulumi(response.properties, response.id)
            properties.to_pulumi(response.inputs)
        return response

    def Update(  # noqa: N802
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        properties = self._to_bridge(request, request.olds, request.news, request.old_inputs)
        _rename_all(request.ignoreChanges, properties.path_to_bridge)
        response: provider_pb2.UpdateResponse = self._ask("Update", request, context)
        properties.to_pulumi(response.properties, request.id)
        return response

    def Delete(  # noqa: N802
        self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._to_bridge(request, request.properties, request.old_inputs)
        deleted: empty_pb2.Empty = self._ask("Delete", request, context)
        return deleted

    def release(self) -> None:
        """Let go of the bridge, once."""
        with self._lock:
            bridge, self._bridge = self._bridge, None
            in_good_order = self._in_flight == 0 and not self._spoiled
        if bridge is not None:
            bridge.release(in_good_order=in_good_order)

    @staticmethod
    def _to_bridge(request: Any, *values: struct_pb2.Struct) -> Properties:
        """Translate what every call about a resource carries; how to translate back."""
        properties = Properties(request.urn.split("::")[2].rpartition("$")[2])
        request.urn = urn(request.urn)
        request.type = token(request.type)
        for value in values:
            properties.to_bridge(value)
        return properties

    def _connect(self, settings: str, context: grpc.ServicerContext) -> bridges.Bridge:
        """Have a bridge that is, or may be, configured with some settings; with any, where they are not known yet."""
        with self._lock:
            if self._bridge is not None and (not settings or self._bridge.settings in ("", settings)):
                return self._bridge
            if self._bridge is not None:
                self._bridge.release(in_good_order=True)  # another run's settings: it was good for checking ours
                self._bridge = None
            folder = os.environ.get(bridges.FOLDER_VARIABLE)
            key = bridges.key(os.environ, self._bridge_binary, self._provider_binary)
            try:
                self._bridge = bridges.take(
                    self._bridge_binary, key, settings, Path(folder) if folder else None, self._engine
                )
                channel = grpc.insecure_channel(f"127.0.0.1:{self._bridge.port}", options=plugin.MESSAGE_OPTIONS)
                self._stub = provider_pb2_grpc.ResourceProviderStub(channel)
                self._stub.Attach(plugin_pb2.PluginAttach(address=self._engine))
                if self._bridge.fresh:
                    arguments = provider_pb2.ParameterizeRequest.ParametersArgs(args=[str(self._provider_binary)])
                    self._stub.Parameterize(provider_pb2.ParameterizeRequest(args=arguments))
            except grpc.RpcError as error:
                _pass_on(error, context)
            except (OSError, RuntimeError) as error:
                context.abort(grpc.StatusCode.UNAVAILABLE, f"The AWS provider cannot run: {error}.")
            return self._bridge

    def _ask(self, call: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the bridge's answer to a call. Its failure is passed on as it is."""
        if self._stub is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "The AWS provider was called before it was configured.")
        with self._lock:
            self._in_flight += 1
        try:
            return getattr(self._stub, call)(request)
        except grpc.RpcError as error:
            _pass_on(error, context)
        finally:
            with self._lock:
                self._in_flight -= 1


def _hash(values: struct_pb2.Struct) -> str:
    return hashlib.sha256(json_format.MessageToJson(values, sort_keys=True).encode()).hexdigest()


def _pass_on(error: grpc.RpcError, context: grpc.ServicerContext) -> NoReturn:
    """End our call as the bridge ended its own, details included: without them, a failed check loses its text."""
    sent = error.trailing_metadata() or ()
    details = tuple((item.key, item.value) for item in sent if item.key == "grpc-status-details-bin")
    context.set_trailing_metadata(details)
    context.abort(error.code(), error.details() or "The provider gave no reason.")
    raise AssertionError  # abort raises; this is for the type checker


def _failures_to_pulumi(failures: Any, properties: Properties) -> None:
    for failure in failures:
        failure.property = properties.path_to_pulumi(failure.property)


def _rename_all(names: MutableSequence[str], rename: Any) -> None:
    names[:] = [rename(name) for name in names]


def main() -> None:
    bridge, provider, *engine = sys.argv[1:]
    forwarder = Forwarder(Path(bridge), Path(provider), plugin.engine_address(engine))
    plugin.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(forwarder, server),
        workers=WORKERS,
        on_exit=forwarder.release,
    )


if __name__ == "__main__":
    main()
