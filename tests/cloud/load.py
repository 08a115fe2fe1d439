"""Constant load on the edge, as a process of its own: `python load.py ADDRESS FILE`, until its standard input ends.

Keep-alive clients, half of them over a link of 80 ms: a loopback hardly ever loses a connection in a switch. Nothing is
sent twice: what is refused, reset, unanswered or answered with 5xx has failed, and is a line of FILE at once. The last
line is a summary. Standard library only.
"""

import asyncio
import collections
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ONE_WAY_SECONDS = 0.04
ANSWER_SECONDS = 15
CHECK_SECONDS = 0.2
BUSY, IDLE = 18, 24
"""Clients of each kind, on each of the two ways to the edge."""
PAUSES = ((0.0, 10.0), (25.0, 40.0))
"""How long an idle client keeps its connection before it asks again: the edge closes it after 15 s, between these."""
WORK_PAUSE = (0.1, 0.7)
IDLE_REQUEST = ("POST", "/api/labs", {"patient_reference": "nobody's"})
PANEL = {"patient_reference": "load", "tests": [{"name": "HbA1c", "value": 6.1, "unit": "%"}]}


class Load:
    """The clients and their count."""

    def __init__(self, address: str, file: Path) -> None:
        split = urlsplit(address)
        assert split.hostname
        self.host, self.port = split.hostname, split.port or 80
        self.file = file
        self.answers: collections.Counter[str] = collections.Counter()
        self.failed = 0
        self.idle_posts = 0
        self.ended = asyncio.Event()
        self.token = ""

    def fail(self, began: float, request: str, reason: str) -> None:
        """Count a failure and write it down."""
        self.failed += 1
        self.write({"began": began, "at": time.time(), "request": request, "failed": reason})

    def write(self, line: dict[str, object]) -> None:
        """Write a line of the file."""
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    async def run(self) -> None:
        """Ask until standard input ends."""
        link = await asyncio.start_server(self.link, "127.0.0.1", 0)
        slow = link.sockets[0].getsockname()[:2]
        await self.sign_up()
        started = time.monotonic()
        clients = [
            self.client(where, None if number < BUSY else PAUSES[number % 2])
            for where in ((self.host, self.port), slow)
            for number in range(BUSY + IDLE)
        ]
        await asyncio.gather(self.end(), *clients)
        seconds = round(time.monotonic() - started, 1)
        self.write(
            {
                "sent": self.answers.total(),
                "seconds": seconds,
                "failed": self.failed,
                "idlePosts": self.idle_posts,
                "answers": self.answers,
            }
        )

    async def end(self) -> None:
        """Wait for the end of standard input."""
        await asyncio.to_thread(sys.stdin.read)
        self.ended.set()

    async def sign_up(self) -> None:
        """Make an account whose panels go in and out."""
        account = {"email": f"load-{random.getrandbits(48):x}@example.com", "password": f"{random.getrandbits(80):x}"}
        reader, writer = await asyncio.open_connection(self.host, self.port)
        status, _, _ = await ask(reader, writer, "POST", "/auth/sign-up", account)
        assert status == 201, f"sign-up answered {status}"
        status, _, body = await ask(reader, writer, "POST", "/auth/sign-in", account)
        assert status == 200, f"sign-in answered {status}"
        self.token = json.loads(body)["token"]
        writer.close()

    def request(self) -> tuple[str, str, object]:
        """Choose a request: method, path, body. One in fifty takes a panel in, and as many are cheap POSTs as GETs."""
        return random.choices(
            (
                ("POST", "/api/labs", PANEL),
                IDLE_REQUEST,
                ("GET", "/api/health", None),
                ("GET", "/api/labs?limit=2", None),
                ("GET", "/auth/me", None),
                ("GET", "/dashboard/sign-in", None),
                ("GET", "/", None),
            ),
            (2, 48, 20, 10, 10, 5, 5),
        )[0]

    async def client(self, where: tuple[str, int], idle: tuple[float, float] | None) -> None:
        """Ask again and again on one connection, for as long as the edge keeps it.

        An idle client only sends what may not be repeated: a browser repeats a GET on a connection that was closed.
        """
        reader = writer = None
        while not await self.waited(random.uniform(*(idle or WORK_PAUSE))):
            method, path, body = IDLE_REQUEST if idle else self.request()
            began = time.time()
            # As a browser does: a connection that the edge has closed is not used again.
            if writer is not None and reader is not None and reader.at_eof():
                writer.close()
                writer = None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if writer is None or reader is None:
                        reader, writer = await asyncio.open_connection(*where)
                    status, headers, _ = await ask(reader, writer, method, path, body, self.token)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.fail(began, f"{method} {path}", f"{type(error).__name__} {error}")
                status, headers = 0, {"connection": "close"}
            if status >= 500:
                self.fail(began, f"{method} {path}", str(status))
            self.idle_posts += idle is not None
            self.answers[f"{status or 'none'} {headers.get('x-image-digest', '')[7:15]}".strip()] += 1
            if writer is not None and headers.get("connection") == "close":
                writer.close()
                writer = None

    async def waited(self, seconds: float) -> bool:
        """Wait; return True if the load has ended."""
        try:
            await asyncio.wait_for(self.ended.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to the edge over a link with delay."""
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.close()
            return
        # Cancelled at the end of the load, which asyncio would print.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, later."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        data = b"begun"
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            await waiting.put((time.monotonic() + ONE_WAY_SECONDS, data))

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                writer.close()
                return
            try:
                writer.write(data)
                await writer.drain()
            except OSError:
                continue


async def ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    body: object = None,
    token: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """Send a request and return status, headers and body of the answer. Raises OSError, EOFError or ValueError."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: edge", f"Content-Length: {len(data)}"]
    if data:
        lines.append("Content-Type: application/json")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + data)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") != "chunked":
        answer = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split(" ", 2)[1]), headers, answer
    answer = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        answer += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return int(head[0].split(" ", 2)[1]), headers, answer


async def main() -> None:
    """Read the command line."""
    await Load(sys.argv[1], Path(sys.argv[2])).run()


if __name__ == "__main__":
    asyncio.run(main())
