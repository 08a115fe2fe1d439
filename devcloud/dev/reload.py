"""`python -m devcloud.dev.reload FOLDER ... -- COMMAND ...`: run a command, and start it anew whenever a file changes.

The command ends by SIGTERM, as its container would end it. One that ends by itself waits for the next change.
"""

import _thread
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import watchfiles

from devcloud.util.processes import traced

STOP_SECONDS = 10


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT."""
    separator = arguments.index("--")
    folders, command = arguments[:separator], arguments[separator + 1 :]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread of its own: whoever waits for the event may hold its lock just now. (`threading` has locks too.)
        signal.signal(number, lambda *_: _thread.start_new_thread(stop.set, ()))
    child = _start(command)
    for changes in watchfiles.watch(*folders, stop_event=stop, raise_interrupt=False):
        changed = sorted({_shown(path) for _, path in changes})
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        print(f"changed: {', '.join(changed[:3])}{more}; starting anew", flush=True)
        _stop(child)
        child = _start(command)
    _stop(child)
    return 0


def _start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(traced(command))


def _stop(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _shown(path: str) -> str:
    with contextlib.suppress(ValueError):
        return os.fspath(Path(path).relative_to(Path.cwd()))
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
