"""`pulumi-language-python` for machines that cannot have the official one: the engine's way to run a Python program.

The official language host is part of Pulumi's download and no module of its own. Everything it needs to run a
program is in the `pulumi` package, though: this host starts an interpreter of its own for each run (see program), as
the official one does, and reports the outcome in the same words.

    python -m devcloud.plugins.language_host ENGINE    the engine starts it, by a launcher
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import grpc
from google.protobuf import empty_pb2

from devcloud.plugins import plugin
from devcloud.plugins.protocol import language_pb2, language_pb2_grpc, plugin_pb2

WORKERS = 4
_START_A_RUN = "import sys; sys.path.insert(0, {!r}); from devcloud.plugins.program import main; main()"


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The engine's questions about Python programs, and its order to run one."""

    def __init__(self, engine: str) -> None:
        """`engine` is the address by which a program logs to the engine."""
        self._engine = engine
        self._lock = threading.Lock()
        self._runs: set[subprocess.Popen[bytes]] = set()

    def Handshake(  # noqa: N802  the protocol's names, here and below
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Accept any engine."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version of the SDK that this host belongs to."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def About(  # noqa: N802
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """Which interpreter runs programs."""
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetRequiredPlugins(  # noqa: N802
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """None: devcloud has put the plugins in place."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(  # noqa: N802
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """None, likewise."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetProgramDependencies(  # noqa: N802
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """What `pulumi about` lists: the SDK alone, since the rest is requirements.lock's to tell."""
        found = [language_pb2.DependencyInfo(name="pulumi", version=metadata.version("pulumi"))]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    def Run(  # noqa: N802
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run a program to its end. Its output reaches the engine as ours does."""
        checkout = str(Path(__file__).parents[2])
        command = [sys.executable, "-P", "-c", _START_A_RUN.format(checkout), self._engine]
        # In a process group of its own: the engine's SIGINT is for us, and a program shows no KeyboardInterrupt.
        with self._lock:
            run = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
            self._runs.add(run)
        try:
            run.communicate(request.SerializeToString())  # a run that has ended already says how by its exit code
        finally:
            with self._lock:
                self._runs.discard(run)
        if run.returncode == 0:
            return language_pb2.RunResponse()
        if run.returncode == plugin.ERROR_WAS_SHOWN:
            return language_pb2.RunResponse(bail=True)
        if run.returncode < 0:
            return language_pb2.RunResponse(error=f"Program was ended by signal {-run.returncode}")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {run.returncode}")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        with self._lock:
            running = list(self._runs)
        for run in running:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGTERM)


def main() -> None:
    host = LanguageHost(plugin.engine_address(sys.argv[1:]))
    plugin.serve(
        lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server),
        workers=WORKERS,
        on_exit=host.stop,
    )


if __name__ == "__main__":
    main()
