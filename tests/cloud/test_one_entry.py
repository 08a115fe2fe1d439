"""One more service, image or secret is one entry of product.yaml, and its code or folder."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from infra.outputs import parse
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

SERVICE = '''"""A service that tells whether it has its secret."""

import http.server
import signal
import threading
from collections.abc import Mapping


def run(environment: Mapping[str, str]) -> int:
    """Serve until the process is ended."""

    class Reports(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"ok" if environment.get("SENTRY_DSN") == "a-dsn-of-ours" else b"no secret"
            self.send_response(200)
            self.send_header("X-Image-Digest", environment["IMAGE_DIGEST"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("", int(environment["PORT"])), Reports)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    return 0
'''
DOCKERFILE = """ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE}
ARG SOURCE_DATE_EPOCH
COPY images/etl/load.py /srv/load.py
USER 10001:10001
ENTRYPOINT ["python3", "/srv/load.py"]
"""
ENTRIES: dict[str, dict[str, Any]] = {
    "images": {"etl": {"upstream": ["python"], "context": ["images/etl/**"], "size_mb": 200}},
    "secrets": {"sentry-dsn": {"check": "api-key", "description": "Address of Sentry.", "stand_in": "encrypted"}},
    "services": {
        "reports": {
            "image": "api",
            "port": 8003,
            "memory_mib": 64,
            "route": {"path": "/reports"},
            "secrets": ["sentry-dsn"],
        }
    },
}


def roomy(checkout: Checkout, stack: str) -> None:
    """Give a stack a host with more memory."""
    checkout.configure({"slipway:host": checkout.setting("slipway:host", stack) | {"instanceType": "t2.medium"}}, stack)


@pytest.fixture(scope="module")
def extended(checkout: Checkout, committed: dict[str, Any]) -> Iterator[Checkout]:
    """The copy with one more of each."""
    file = checkout.root / "product.yaml"
    product = yaml.safe_load(file.read_text())
    for kind, entries in ENTRIES.items():
        product[kind] |= entries
    file.write_text(yaml.safe_dump(product, sort_keys=False))
    (checkout.root / "app" / "reports").mkdir()
    (checkout.root / "app" / "reports" / "__init__.py").write_text("")
    (checkout.root / "app" / "reports" / "service.py").write_text(SERVICE)
    (checkout.root / "images" / "etl").mkdir()
    (checkout.root / "images" / "etl" / "Dockerfile").write_text(DOCKERFILE)
    (checkout.root / "images" / "etl" / "load.py").write_text("print('loaded')\n")
    checkout.configure({"slipway:sentryDsn": "a-dsn-of-ours"})
    for stack in ("local", "dev", "prod"):
        # The databases leave no memory of a t2.small for one more service.
        roomy(checkout, stack)
    yield checkout
    # First the service goes, then the memory: a release needs its own beside that of what runs.
    checkout.restore()
    roomy(checkout, "local")
    checkout.up()
    checkout.restore()


def test_a_secret_that_is_not_set_is_asked_for(extended: Checkout) -> None:
    extended.configure({"slipway:sentryDsn": None})
    done = extended.run("preview")
    extended.configure({"slipway:sentryDsn": "a-dsn-of-ours"})
    assert done.code != 0
    assert "slipway:sentryDsn is not set; set it with `pulumi config set --secret slipway:sentryDsn" in done.said


def test_what_is_made_from_the_entries_is_generated_and_the_product_is_valid(extended: Checkout) -> None:
    extended.generate()
    done = extended.run("validate")
    assert done.code == 0, done.said


def test_a_preview_shows_the_new_image_its_repository_and_the_secret(extended: Checkout) -> None:
    planned = extended.planned()
    assert {"etl-image": "create", "etl-repository": "create", "sentry-dsn": "create"}.items() <= planned.items()
    assert "worker-image" not in planned


def test_the_new_service_serves_through_the_edge_with_its_secret(extended: Checkout) -> None:
    extended.up()
    address = parse("local", extended.outputs()).api_url
    answer = httpx.get(f"{address}/reports/anything", timeout=10, trust_env=False)
    assert (answer.status_code, answer.text) == (200, "ok")
