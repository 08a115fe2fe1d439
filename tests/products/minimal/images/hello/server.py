"""Answer every request, /health among them, with the image's digest, until SIGTERM."""

import http.server
import os
import signal
import threading


class Hello(http.server.BaseHTTPRequestHandler):
    """Say hello."""

    def do_GET(self) -> None:
        """Answer."""
        body = b"hello\n"
        self.send_response(200)
        self.send_header("X-Image-Digest", os.environ["IMAGE_DIGEST"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Hello)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
