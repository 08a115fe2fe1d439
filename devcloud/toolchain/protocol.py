"""The engine's protocol, out of Pulumi's SDK but without the SDK.

Importing the `pulumi` package takes half a second, and the engine starts three of our plugins in each run. The protocol's
generated modules need nothing of it; they only lie in it. So the packages around them are put in place empty here. A
process that imports this must not import Pulumi's SDK.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _empty_package(name: str, folder: Path) -> None:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


if "pulumi" not in sys.modules:
    _found = importlib.util.find_spec("pulumi")
    if _found is None or _found.origin is None:
        raise ImportError("Pulumi's Python SDK is not installed in this environment.")
    _sdk = Path(_found.origin).parent
    _empty_package("pulumi", _sdk)
    _empty_package("pulumi.runtime", _sdk / "runtime")
    _empty_package("pulumi.runtime.proto", _sdk / "runtime" / "proto")

from pulumi.runtime.proto import (  # noqa: E402  only now
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

__all__ = ["language_pb2", "language_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc"]
