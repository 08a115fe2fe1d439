"""Run a plugin of Pulumi (language_host, aws_forwarder): a gRPC server that lives as long as its engine.

The engine starts a plugin, reads its port from the first line of standard output, and sends SIGINT to the plugin's
process group when it is done. An engine that was killed sends nothing, so a plugin watches its parent too.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from types import FrameType

import grpc

LARGEST_MESSAGE = 400 * 1024 * 1024
"""Bytes; what the engine itself allows."""
MESSAGE_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
]
PARENT_CHECK_SECONDS = 1.0
ERROR_WAS_SHOWN = 32
"""Exit code of a program whose error is in the engine's log already; the official language host's own number."""


def engine_address(arguments: Sequence[str]) -> str:
    """Return the engine's address of a plugin's arguments; empty if a person started it by hand.

    It is the last one: `pulumi -v=9 --logtostderr --logflow` puts its own flags before it.
    """
    return arguments[-1] if arguments and not arguments[-1].startswith("-") else ""


class _Leave(BaseException):
    """The engine is done with us."""


def _asked_to_leave(_signal: int, _frame: FrameType | None) -> None:
    """Once, and by an exception: to wake a thread that waits on a lock, a signal would need that lock."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise _Leave


def serve(register: Callable[[grpc.Server], None], *, workers: int, on_exit: Callable[[], None]) -> None:
    """Serve until the engine is done with us or gone; then run `on_exit` once and leave. Does not return.

    `register` adds the servicer; `workers` is how many calls run side by side.
    """
    parent = os.getppid()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=workers), options=MESSAGE_OPTIONS)
    register(server)
    with contextlib.suppress(_Leave):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _asked_to_leave)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
    on_exit()
    # Not sys.exit: that would wait for calls that an engine which is gone no longer needs.
    os._exit(0)


def end_with_parent() -> None:
    """Have this process end when the process that started it does."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
