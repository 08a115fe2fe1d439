"""`python -m app.worker`: work off the queue until SIGTERM.

`--self-test`, `--health`, `--categorise` and `--extract` need no settings and no network.
"""

import _thread
import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from app.common import environment as env
from app.common import logs
from app.worker import heartbeat

MODEL = Path("/opt/model")

log = logging.getLogger(__name__)


def arguments(argv: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m app.worker", description="Do the product's jobs from the queue.")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"folder of the encoder (default: {MODEL})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--self-test", action="store_true", help="check the models in this image, and leave")
    what.add_argument("--health", action="store_true", help="exit 0 if a running worker gave a sign of life lately")
    what.add_argument(
        "--categorise",
        action="store_true",
        help='names of tests from standard input, one a line; a line {"name", "category", "confidence"} for each',
    )
    what.add_argument(
        "--extract",
        action="store_true",
        help="reports from standard input, each a line with one JSON string; a line with the list of its entities each",
    )
    return parser.parse_args(argv)


def work(environment: Mapping[str, str], model: Path) -> int:
    """Load the model, then work until SIGTERM or SIGINT. The exit status."""
    started, started_at = time.monotonic(), datetime.now(UTC)
    logs.configure(env.log_level(environment))
    url, region = env.queue_url(environment), env.region(environment)
    database = env.database_url("psycopg", environment)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread of its own: whoever waits for the event may hold its lock just now. (`threading` has locks too.)
        signal.signal(number, lambda *_: _thread.start_new_thread(stop.set, ()))

    # After the signal handlers and the settings: these take most of the start.
    from sqlalchemy.exc import SQLAlchemyError

    from app.worker.categoriser import Categoriser, Prototypes
    from app.worker.encoder import Encoder
    from app.worker.extractor import Extractor
    from app.worker.queue import SqsQueue
    from app.worker.store import PostgresStore, Sign
    from app.worker.work import Worker

    encoder = Encoder(model)
    categoriser = Categoriser(encoder, Prototypes.load(model / "prototypes"))
    store = PostgresStore(database)
    worker = Worker(SqsQueue(url, region), store, categoriser, Extractor(categoriser), stop, heartbeat.beat)

    def sign() -> None:
        try:
            store.seen(Sign(socket.gethostname(), encoder.model["name"], started_at, worker.jobs_done))
        except SQLAlchemyError as error:
            log.warning("the sign of life could not be written", extra={"reason": type(error).__name__})

    log.info("ready", extra={"model": encoder.model["name"], "seconds": round(time.monotonic() - started, 2)})
    with heartbeat.every(heartbeat.SIGN_SECONDS, None, sign, at_once=True):
        worker.run()
    log.info("stopped", extra={"jobs_done": worker.jobs_done})
    return 0


def categorise(model: Path) -> int:
    """Categories for the names on standard input, in their order; empty lines are left out."""
    from app.worker.categoriser import Categoriser, Prototypes
    from app.worker.encoder import BATCH, Encoder

    categoriser = Categoriser(Encoder(model), Prototypes.load(model / "prototypes"))
    names = [line.strip() for line in sys.stdin if line.strip()]
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        for name, category in zip(batch, categoriser.categorise(batch), strict=True):
            line = {"name": name, "category": category.name, "confidence": category.confidence}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 0


def extract(model: Path) -> int:
    """Entities of the reports on standard input, in their order: 2 where a line is no JSON string."""
    from app.worker.categoriser import Categoriser, Prototypes
    from app.worker.encoder import Encoder
    from app.worker.extractor import Extractor

    extractor = Extractor(Categoriser(Encoder(model), Prototypes.load(model / "prototypes")))
    for number, line in enumerate(sys.stdin, 1):
        try:
            body = json.loads(line)
        except ValueError:
            body = None
        if not isinstance(body, str):
            sys.stderr.write(f"Line {number} is no JSON string: write each report as one.\n")
            return 2
        entities = [
            {
                "starts_at": entity.starts_at,
                "ends_at": entity.ends_at,
                "found": entity.found,
                "category": entity.category,
                "confidence": entity.confidence,
                "value": entity.measurement and entity.measurement.value,
                "unit": entity.measurement and entity.measurement.unit,
            }
            for entity in extractor.extract(body)
        ]
        sys.stdout.write(json.dumps(entities, ensure_ascii=False) + "\n")
    return 0


def main(argv: list[str]) -> int:
    """The exit status: 2 where a setting or the input is missing or wrong, 1 where a check failed."""
    asked = arguments(argv)
    if asked.health:
        return 0 if heartbeat.alive() else 1
    if asked.self_test:
        from app.worker import self_test

        ok, line = self_test.run(asked.model)
        sys.stdout.write(f"{line}\n")
        return 0 if ok else 1
    if asked.categorise:
        return categorise(asked.model)
    if asked.extract:
        return extract(asked.model)
    try:
        return work(os.environ, asked.model)
    except env.SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
