"""`pulumi-language-python` for machines that cannot have the official one: the engine's way to run a Python program.

The official language host is part of Pulumi's download and no module of its own. Everything it needs to run a
program is in the `pulumi` package, though: this host starts an interpreter of its own for each run, as the official
one does, and reports the outcome in the same words.

    python -m devcloud.toolchain.language_host [ENGINE]    the host; the engine starts it
    python -m devcloud.toolchain.language_host --run       one run of a program; the host starts it
"""

import asyncio
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi import log
from pulumi.runtime import reset_options, run_in_stack, set_all_config
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from devcloud.toolchain import plugin
from devcloud.toolchain.versions import PULUMI

ERROR_WAS_SHOWN = 32
"""Exit code of a run whose error is in the engine's log already; the official host's own number."""
_CHECKOUT = str(Path(__file__).parents[2])
_START = "import sys; sys.path.insert(0, {!r}); from devcloud.toolchain.language_host import main; main()"
PARALLEL_DEFAULT = 16
"""Operations side by side where the engine sets no limit of its own."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):  # type: ignore[misc]
    """The engine's questions about Python programs, and its order to run one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: set[subprocess.Popen[bytes]] = set()
        # Importing the SDK takes most of a second: the first run's interpreter does it while the engine gets ready.
        self._spare: subprocess.Popen[bytes] | None = self._start_interpreter()

    def Handshake(  # noqa: N802  the protocol's names, here and below
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Accept any engine."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version of the SDK that this host belongs to."""
        return plugin_pb2.PluginInfo(version=PULUMI)

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
        found = [language_pb2.DependencyInfo(name="pulumi", version=PULUMI)]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    def Run(  # noqa: N802
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run a program to its end in an interpreter of its own. Its output reaches the engine as ours does."""
        with self._lock:
            run, self._spare = self._spare or self._start_interpreter(), None
            self._runs.add(run)
        try:
            with suppress(BrokenPipeError):  # it has ended already: its exit code says how
                run.communicate(request.SerializeToString())
        finally:
            with self._lock:
                self._runs.discard(run)
        if run.returncode == 0:
            return language_pb2.RunResponse()
        if run.returncode == ERROR_WAS_SHOWN:
            return language_pb2.RunResponse(bail=True)
        if run.returncode < 0:
            return language_pb2.RunResponse(error=f"Program was ended by signal {-run.returncode}")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {run.returncode}")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """End the programs that run."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End every interpreter that was started."""
        with self._lock:
            running = [*self._runs, *([self._spare] if self._spare else [])]
            self._spare = None
        for run in running:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGTERM)

    @staticmethod
    def _start_interpreter() -> subprocess.Popen[bytes]:
        # In a process group of its own: the engine's SIGINT is for us, and a program shows no KeyboardInterrupt.
        command = [sys.executable, "-P", "-c", _START.format(_CHECKOUT), "--run"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)


def run_program(request: language_pb2.RunRequest) -> int:
    """Run the program of a request in this process; what the process should exit with.

    A `pulumi.RunError` shows its message alone, as it is meant for the program's user; any other exception is a bug
    of the program, and shows its traceback.
    """
    reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory or request.pwd,
        parallel=request.parallel,
        engine_address=request.args[0] if request.args else "",
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    set_all_config(dict(request.config), list(request.configSecretKeys))
    folder = Path(request.info.program_directory or request.pwd)
    program = folder / (request.info.entry_point or ".")
    # As if it had been started by hand: from its folder, with its folder first among those to import from, ours gone.
    os.chdir(folder)
    sys.argv = [str(program)]
    sys.path.remove(_CHECKOUT)
    sys.path.insert(0, str(program if program.is_dir() else program.parent))
    script = program / "__main__.py" if program.is_dir() else program

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what matters of its failures is raised again below
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=4 * max(request.parallel or PARALLEL_DEFAULT, 1)))
    try:
        loop.run_until_complete(run_in_stack(lambda: _execute(script)))
    except pulumi.RunError as error:
        log.error(str(error))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            log.debug("Resource monitor has terminated, shutting down.")
        else:
            log.error(f"RPC error: {error.details()}")
    except Exception:  # noqa: BLE001  a program may raise anything
        log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
    else:
        return 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return ERROR_WAS_SHOWN


def _execute(script: Path) -> None:
    if not script.exists():
        raise pulumi.RunError(f"There is no program at {script}: check `main` in Pulumi.yaml.")
    runpy.run_path(str(script), run_name="__main__")


def main() -> None:
    """Serve the engine, or run one program."""
    if sys.argv[1:] == ["--run"]:
        plugin.end_with_parent()
        request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
        sys.exit(run_program(request))
    host = LanguageHost()
    plugin.serve(
        lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server),
        workers=4,
        on_exit=host.stop,
    )


if __name__ == "__main__":
    main()
