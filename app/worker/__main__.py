"""`python -m app.worker`: work off the queue until SIGTERM. `--self-test` and `--health` need no settings."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from app.common import environment as env
from app.common import logs
from app.worker import heartbeat

MODEL = Path("/opt/model")

log = logging.getLogger(__name__)


def arguments(argv: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m app.worker", description="Categorise lab tests from the queue.")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"folder of the model (default: {MODEL})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--self-test", action="store_true", help="check the model in this image, and leave")
    what.add_argument("--health", action="store_true", help="exit 0 if a running worker gave a sign of life lately")
    return parser.parse_args(argv)


def work(environment: Mapping[str, str], model: Path) -> int:
    """Load the model, then work until SIGTERM or SIGINT. The exit status."""
    started = time.monotonic()
    logs.configure(env.log_level(environment))
    url, region = env.queue_url(environment), env.region(environment)
    database = env.database_url("psycopg", environment)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    # After the signal handlers and the settings: these take most of the start.
    from app.worker.categoriser import Categoriser, Prototypes
    from app.worker.encoder import Encoder
    from app.worker.queue import SqsQueue
    from app.worker.store import PostgresStore
    from app.worker.work import Worker

    encoder = Encoder(model)
    categoriser = Categoriser(encoder, Prototypes.load(model / "prototypes"))
    worker = Worker(SqsQueue(url, region), PostgresStore(database), categoriser, stop, heartbeat.beat)
    log.info("ready", extra={"model": encoder.model["name"], "seconds": round(time.monotonic() - started, 2)})
    worker.run()
    log.info("stopped")
    return 0


def main(argv: list[str]) -> int:
    """The exit status: 2 where a setting is missing or wrong, 1 where a check failed."""
    asked = arguments(argv)
    if asked.health:
        return 0 if heartbeat.alive() else 1
    if asked.self_test:
        from app.worker import self_test

        ok, line = self_test.run(asked.model)
        sys.stdout.write(f"{line}\n")
        return 0 if ok else 1
    try:
        return work(os.environ, asked.model)
    except env.SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
