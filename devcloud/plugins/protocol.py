"""The engine's protocol, out of Pulumi's SDK but without the SDK.

Importing the `pulumi` package takes half a second, and the engine starts three of our plugins in each run. The
protocol's generated modules need nothing of it; they only lie in it. So they are imported with empty packages around
them, which are taken away again: a later `import pulumi` in the same process finds the real ones.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


@contextlib.contextmanager
def _sdk_left_out() -> Iterator[None]:
    found = importlib.util.find_spec("pulumi")
    if "pulumi" in sys.modules or found is None or found.origin is None:
        yield  # the SDK is there anyway, or its absence will say so itself
        return
    packages = {
        "pulumi": Path(found.origin).parent,
        "pulumi.runtime": Path(found.origin).parent / "runtime",
        "pulumi.runtime.proto": Path(found.origin).parent / "runtime" / "proto",
    }
    for name, folder in packages.items():
        empty = ModuleType(name)
        empty.__path__ = [str(folder)]
        sys.modules[name] = empty
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]


with _sdk_left_out():
    from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

__all__ = ["language_pb2", "language_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc"]
