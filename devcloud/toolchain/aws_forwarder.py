"""`pulumi-resource-aws` for machines that cannot have the official plugin: pulumi-aws over a Terraform AWS provider.

Pulumi's dynamic bridge runs any Terraform provider, under names of its own. This plugin stands where the engine looks
for Pulumi's AWS plugin, starts that bridge with the provider's binary, and hands every call on with the names translated
(see aws_names). The checks, plans and calls are the real provider's.

    python -m devcloud.toolchain.aws_forwarder BRIDGE PROVIDER [ENGINE]    the engine starts it, by a launcher
"""

import json
import hashlib
import os
import sys
import threading
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from devcloud.toolchain import bridges, plugin
from devcloud.toolchain.aws_names import Properties, token, urn
from devcloud.toolchain.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from devcloud.toolchain.versions import AWS

WORKERS = 128
"""Calls side by side. Most wait for the cloud; the engine sends as many as its `--parallel` says."""


SINGLE_BLOCKS = ("assumeRoleWithWebIdentity", "defaultTags", "ignoreTags")
"""Settings of the provider that pulumi-aws takes as an object and Terraform as a list of one."""


def _settings_to_bridge(*settings: struct_pb2.Struct) -> None:
    """Make lists of single blocks. A provider's settings come as JSON text, or as they are from newer SDKs."""
    for struct in settings:
        for name in SINGLE_BLOCKS:
            if name not in struct.fields:
                continue
            value = struct.fields[name]
            if value.HasField("struct_value"):
                block = struct_pb2.Value()
                block.CopyFrom(value)
                value.list_value.values.append(block)
            elif value.string_value.startswith("{"):
                value.string_value = f"[{value.string_value}]"


def _settings_to_pulumi(struct: struct_pb2.Struct) -> None:
    """Make single blocks of lists again."""
    for name in SINGLE_BLOCKS:
        if name not in struct.fields:
            continue
        value = struct.fields[name]
        if value.HasField("list_value") and len(value.list_value.values) == 1:
            block = struct_pb2.Value()
            block.CopyFrom(value.list_value.values[0])
            value.CopyFrom(block)
        elif value.string_value.startswith("["):
            (only,) = json.loads(value.string_value)
            value.string_value = json.dumps(only, separators=(",", ":"), sort_keys=True)


class Forwarder(provider_pb2_grpc.ResourceProviderServicer):  # type: ignore[misc]
    """The engine's calls, translated. What is not here (schemas, components) the engine does without."""

    def __init__(self, bridge: Path, provider: Path, engine: str) -> None:
        self._bridge_binary = bridge
        self._provider_binary = provider
        self._engine = engine
        self._bridge: bridges.Bridge | None = None
        self._stub: provider_pb2_grpc.ResourceProviderStub | None = None
        self._lock = threading.Lock()
        self._in_flight = 0
        self._cancelled_midway = False

    def GetPluginInfo(  # noqa: N802  the protocol's names, here and below
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version that pulumi-aws asks for."""
        return plugin_pb2.PluginInfo(version=AWS)

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Take another engine."""
        self._engine = request.address
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """The bridge cannot cancel. It is not kept for another run if something is under way."""
        with self._lock:
            self._cancelled_midway = self._cancelled_midway or self._in_flight > 0
        return empty_pb2.Empty()

    def CheckConfig(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Check the provider's settings."""
        self._connect("", context)
        _settings_to_bridge(request.olds, request.news)
        with self._call(context) as stub:
            response: provider_pb2.CheckResponse = stub.CheckConfig(request)
        _settings_to_pulumi(response.inputs)
        return response

    def DiffConfig(  # noqa: N802
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """What other settings would mean for the resources."""
        self._connect("", context)
        _settings_to_bridge(request.olds, request.news, request.old_inputs)
        with self._call(context) as stub:
            response: provider_pb2.DiffResponse = stub.DiffConfig(request)
        return response

    def Configure(  # noqa: N802
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Configure the provider, unless an earlier run did with the same settings."""
        settings = hashlib.sha256(json_format.MessageToJson(request.args, sort_keys=True).encode()).hexdigest()
        bridge = self._connect(settings, context)
        if bridge.settings == settings:
            return provider_pb2.ConfigureResponse.FromString(bridge.answer)
        _settings_to_bridge(request.args)
        with self._call(context) as stub:
            response: provider_pb2.ConfigureResponse = stub.Configure(request)
        bridge.configured(settings, response.SerializeToString())
        return response

    def Invoke(  # noqa: N802
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Call a function, such as `aws.get_caller_identity`."""
        properties = Properties(request.tok)
        properties.to_bridge(request.args)
        request.tok = token(request.tok)
        with self._call(context) as stub:
            response = stub.Invoke(request)
        properties.to_pulumi(getattr(response, "return"))
        _failures_to_pulumi(response.failures, properties)
        return response

    def Check(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Check a resource's inputs."""
        properties = self._to_bridge(request, request.olds, request.news)
        with self._call(context) as stub:
            response = stub.Check(request)
        properties.to_pulumi(response.inputs)
        _failures_to_pulumi(response.failures, properties)
        return response

    def Diff(  # noqa: N802
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Plan a resource."""
        properties = self._to_bridge(request, request.olds, request.news, request.old_inputs)
        _rename_all(request.ignoreChanges, properties.path_to_bridge)
        with self._call(context) as stub:
            response = stub.Diff(request)
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
        """Create a resource."""
        properties = self._to_bridge(request, request.properties)
        with self._call(context) as stub:
            response = stub.Create(request)
        properties.to_pulumi(response.properties, response.id)
        return response

    def Read(  # noqa: N802
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Read a resource as it is."""
        properties = self._to_bridge(request, request.properties, request.inputs)
        with self._call(context) as stub:
            response = stub.Read(request)
        if response.id:
            properties.to_pulumi(response.properties, response.id)
            properties.to_pulumi(response.inputs)
        return response

    def Update(  # noqa: N802
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Change a resource."""
        properties = self._to_bridge(request, request.olds, request.news, request.old_inputs)
        _rename_all(request.ignoreChanges, properties.path_to_bridge)
        with self._call(context) as stub:
            response = stub.Update(request)
        properties.to_pulumi(response.properties, request.id)
        return response

    def Delete(  # noqa: N802
        self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Delete a resource."""
        self._to_bridge(request, request.properties, request.old_inputs)
        with self._call(context) as stub:
            return stub.Delete(request)

    def release(self) -> None:
        """Let go of the bridge, once."""
        with self._lock:
            bridge, self._bridge = self._bridge, None
            in_good_order = self._in_flight == 0 and not self._cancelled_midway
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

    @contextmanager
    def _call(self, context: grpc.ServicerContext) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
        """A call to the bridge, with its failure passed on as it is."""
        if self._stub is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "The AWS provider was called before it was configured.")
        with self._lock:
            self._in_flight += 1
        try:
            yield self._stub
        except grpc.RpcError as error:
            _pass_on(error, context)
        finally:
            with self._lock:
                self._in_flight -= 1


def _hash(values: struct_pb2.Struct) -> str:
    return hashlib.sha256(json_format.MessageToJson(values, sort_keys=True).encode()).hexdigest()


def _pass_on(error: grpc.RpcError, context: grpc.ServicerContext) -> NoReturn:
    """End our call as the bridge ended its own, details included: without them, a failed check loses its text."""
    details = [item for item in error.trailing_metadata() or () if item[0] == "grpc-status-details-bin"]
    context.set_trailing_metadata(details)
    context.abort(error.code(), error.details() or "The provider gave no reason.")
    raise AssertionError  # abort raises; this is for the type checker


def _failures_to_pulumi(failures: Any, properties: Properties) -> None:
    for failure in failures:
        failure.property = properties.path_to_pulumi(failure.property)


def _rename_all(names: MutableSequence[str], rename: Any) -> None:
    names[:] = [rename(name) for name in names]


def main() -> None:
    """Serve the engine."""
    bridge, provider, *engine = sys.argv[1:]
    forwarder = Forwarder(Path(bridge), Path(provider), engine[-1] if engine else "")
    plugin.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(forwarder, server),
        workers=WORKERS,
        on_exit=forwarder.release,
    )


if __name__ == "__main__":
    main()
