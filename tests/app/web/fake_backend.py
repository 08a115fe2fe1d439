"""A fake of what is behind the edge, for tests of the front end alone: it keeps everything in memory, and its worker
knows five tests by name. It serves the built page under the very content security policy that Caddy will give it."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
TIME = "2026-03-04T09:30:00Z"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
CATEGORIES = {"hba1c": "diabetes", "ldl cholesterol": "lipids", "creatinine": "kidney", "tsh": "thyroid"}

Answer = tuple[int, Any]


def policy() -> str:
    """The content security policy of images/web/Caddyfile."""
    found = re.search(r'Content-Security-Policy "([^"]+)"', (ROOT / "images/web/Caddyfile").read_text())
    assert found
    return found[1]


@dataclass
class FakeBackend:
    """What the services would know. Tests change it while the page is open."""

    accounts: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    panels: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    trends: list[dict[str, Any]] = field(default_factory=list)
    chats: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """The idempotency keys that came with panels."""
    worker_works: bool = True
    away: bool = False
    """Whether the edge finds nobody behind it."""
    looks: int = 0
    """How often a panel was looked at."""

    def answer(self, method: str, path: str, token: str | None, body: Any) -> Answer:
        """The answer to a request of /api or /auth."""
        if self.away:
            return 502, {"detail": "This part of the service cannot be reached at the moment; please try again."}
        if path == "/api/health":
            return 200, {"status": "ok"}
        if path.startswith("/auth/sign-"):
            return self._door(path.removeprefix("/auth/"), token, body)
        if token not in self.tokens:
            return 401, {"detail": "Sign in first."}
        if path == "/auth/me":
            return 200, {"user_id": str(uuid.uuid4()), "email": next(iter(self.accounts)), "role": "user"}
        return self._api(method, path.removeprefix("/api"), body)

    def _door(self, what: str, token: str | None, body: Any) -> Answer:
        if what == "sign-out":
            self.tokens.discard(token or "")
            return 204, None
        email, password = body["email"].lower(), body["password"]
        if what == "sign-up":
            if email in self.accounts:
                return 409, {"detail": "There is an account with this address already."}
            self.accounts[email] = password
            return 201, {"user_id": str(uuid.uuid4()), "email": email, "role": "user"}
        if self.accounts.get(email) != password:
            return 401, {"detail": "The address or the password is wrong."}
        fresh = uuid.uuid4().hex
        self.tokens.add(fresh)
        return 200, {"token": fresh, "expires_at": "2030-01-01T00:00:00Z"}

    def _api(self, method: str, path: str, body: Any) -> Answer:
        kind, _, name = path.removeprefix("/").partition("/")
        if kind == "trends":
            return 200, {"items": self.trends}
        if kind == "chat":
            return self._chat(method, name, body)
        kept = {"labs": self.panels, "reports": self.reports}[kind]
        if method == "POST":
            thing = {**body, "id": str(uuid.uuid4()), "status": "queued", "reason": None, "created_at": TIME}
            thing |= {"finished_at": None, "entities": []}
            for test in thing.get("tests", []):
                test |= {"category": None, "confidence": None}
            kept.insert(0, thing)
            return 202, {"id": thing["id"], "status": "queued"}
        if not name:
            heads = [panel_head(thing) for thing in kept[:20]] if kind == "labs" else kept[:20]
            return 200, {"items": heads, "next_cursor": None}
        self.looks += 1
        found = next((thing for thing in kept if thing["id"] == name), None)
        if found is None:
            return 404, {"detail": f"There is no such thing as {name}."}
        if self.worker_works and found["status"] == "queued" and self.looks > 1:
            self.work(found)
        return 200, found

    def work(self, thing: dict[str, Any]) -> None:
        """What the worker would do with a panel or a report."""
        thing |= {"status": "done", "finished_at": TIME}
        for test in thing.get("tests", []):
            category = CATEGORIES.get(test["name"].lower(), "unknown")
            test |= {"category": category, "confidence": 0.31 if category == "unknown" else 0.93}
        body = thing.get("body", "")
        for name in ("HbA1c", "LDL cholesterol", "TSH"):
            if (at := body.find(name)) >= 0:
                found = {"starts_at": at, "ends_at": at + len(name), "found": name, "confidence": 0.9}
                value, unit = (6.1, "%") if name == "HbA1c" else (None, None)
                thing["entities"].append(found | {"category": CATEGORIES[name.lower()], "value": value, "unit": unit})

    def _chat(self, method: str, name: str, body: Any) -> Answer:
        if method == "POST":
            chat_id = body.get("chat_id") or str(uuid.uuid4())
            chat = self.chats.setdefault(chat_id, {"id": chat_id, "created_at": TIME, "messages": []})
            answer, tools = "HbA1c was 6.1 %, above its range of 4 to 5.6 %.", ["out_of_range"]
            chat["messages"] += [
                {"role": "user", "content": body["message"], "tools": [], "created_at": TIME},
                {"role": "assistant", "content": answer, "tools": tools, "created_at": TIME},
            ]
            return 200, {"chat_id": chat_id, "answer": answer, "tools": tools}
        if name:
            return (200, self.chats[name]) if name in self.chats else (404, {"detail": "There is no such chat."})
        heads = [
            {"id": chat["id"], "created_at": TIME, "title": chat["messages"][0]["content"]}
            for chat in reversed(self.chats.values())
        ]
        return 200, {"items": heads, "next_cursor": None}


def handler(backend: FakeBackend, files: Path) -> type[BaseHTTPRequestHandler]:
    """Serves the page and the fake from one origin, as the edge does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(("/api/", "/auth/")):
                self._service(path, None)
                return
            file = files / path.removeprefix("/")
            if not file.is_file():
                file = files / "index.html"
            self._send(200, TYPES.get(file.suffix, "text/plain"), file.read_bytes(), policy())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api/labs":
                backend.keys.append(self.headers.get("Idempotency-Key", ""))
            self._service(self.path, json.loads(body) if body else None)

        def _service(self, path: str, body: Any) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            status, answer = backend.answer(self.command, path, token, body)
            self._send(status, "application/json", b"" if answer is None else json.dumps(answer).encode(), None)

        def _send(self, status: int, kind: str, body: bytes, csp: str | None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if csp:
                self.send_header("Content-Security-Policy", csp)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the standard library
            """Says nothing."""

    return Handler


@contextmanager
def serving(backend: FakeBackend, files: Path) -> Iterator[str]:
    """The address at which the page and the fake are served, on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(backend, files))
    run: Callable[[], None] = server.serve_forever
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def panel_head(panel: dict[str, Any]) -> dict[str, Any]:
    """Return a panel as a list has it: its tests are counted."""
    outside = 0
    for test in panel["tests"]:
        low, high = ((test.get("reference_range") or {}).get(end) for end in ("low", "high"))
        outside += (low is not None and test["value"] < low) or (high is not None and test["value"] > high)
    counted = {
        "test_count": len(panel["tests"]),
        "out_of_range": outside,
        "categories": sorted({test["category"] for test in panel["tests"]} - {None}),
    }
    return {**{name: value for name, value in panel.items() if name != "tests"}, **counted}
