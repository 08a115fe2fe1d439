"""What both of our engine plugins (language_host, aws_forwarder) are: a gRPC server that lives while its engine does.

The engine starts a plugin, reads its port from the first line of standard output, and sends SIGINT to the plugin's
process group when it is done. An engine that was killed sends nothing, so a plugin watches its parent too.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
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


def serve(register: Callable[[grpc.Server], None], *, workers: int, on_exit: Callable[[], None]) -> None:
    """Serve until the engine is done with us or gone; then run `on_exit` once and leave. Does not return.

    `register` adds the servicer; `workers` is how many calls run side by side.
    """
    leave = threading.Event()

    def asked_to_leave(_signal: int, _frame: FrameType | None) -> None:
        leave.set()

    signal.signal(signal.SIGINT, asked_to_leave)
    signal.signal(signal.SIGTERM, asked_to_leave)
    parent = os.getppid()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=workers), options=MESSAGE_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == parent and not leave.wait(PARENT_CHECK_SECONDS):
        pass
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
