"""One run of a Pulumi program, in an interpreter of its own: what the language host starts (see there).

python -m devcloud.plugins.program ENGINE    with the engine's RunRequest on standard input
"""

import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pulumi
from pulumi import log
from pulumi.runtime import reset_options, run_in_stack, set_all_config
from pulumi.runtime.proto import language_pb2

from devcloud.plugins import plugin

PARALLEL_DEFAULT = 16
"""Operations side by side where the engine sets no limit of its own."""
_CHECKOUT = str(Path(__file__).parents[2])


def main() -> None:
    """Run the program that standard input asks for, and leave with its outcome."""
    plugin.end_with_parent()
    sys.exit(run_program(language_pb2.RunRequest.FromString(sys.stdin.buffer.read()), sys.argv[1]))


def run_program(request: language_pb2.RunRequest, engine: str) -> int:
    """Run the program of a request in this process. Return what the process should exit with.

    It logs to the address `engine`. (The request's `args` are the program's own.)

    A `pulumi.RunError` shows its message alone, as it is meant for the program's user; any other exception is a bug
    of the program, and shows its traceback.
    """
    reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory or request.pwd,
        parallel=request.parallel,
        engine_address=engine,
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
    return plugin.ERROR_WAS_SHOWN


def _execute(script: Path) -> None:
    if not script.exists():
        raise pulumi.RunError(f"There is no program at {script}: check `main` in Pulumi.yaml.")
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
