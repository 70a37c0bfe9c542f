# SPDX-License-Identifier: Apache-2.0
"""Web servers on this machine: one that serves a file, with faults, and one that says anything."""

import contextlib
import hashlib
import http.server
import socket
import threading
import time

DATA = bytes(range(256)) * 4000  # about a megabyte
SUM = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` at every address; faults are attributes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.etag, self.ranges = DATA, '"v1"', True
        self.status, self.kind, self.extra = {}, "application/octet-stream", {}
        self.cuts = []  # bytes after which the next answers break off
        self.elsewhere = {}  # where requests for a path are sent to
        self.chunked = False
        self.delay = 0.0
        self.drip = None  # (bytes, seconds between so many)
        self.stall_at, self.go_on = None, threading.Event()
        self.asked = []  # (path, Range) of every request

    def url(self, path="/file.bin"):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        s, wanted = self.server, self.headers.get("Range")
        s.asked.append((self.path, wanted))
        if self.path in s.status:
            self.send_error(s.status[self.path])
            return
        if self.path in s.elsewhere:
            self.send_response(302)
            self.send_header("Location", s.elsewhere[self.path])
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and s.ranges else None
        if start is not None and start >= len(s.data):
            self.send_error(416)
            return
        self.send_response(200 if start is None else 206)
        body = s.data[start or 0 :]
        if start is not None:
            total = len(s.data)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if s.etag:
            self.send_header("ETag", s.etag)
        if not s.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", s.kind)
        for name, value in s.extra.items():
            self.send_header(name, value)
        self.end_headers()
        time.sleep(s.delay)
        if s.drip:
            for start in range(0, len(body), s.drip[0]):
                self.wfile.write(body[start : start + s.drip[0]])
                time.sleep(s.drip[1])
            return
        if s.stall_at:
            self.wfile.write(body[: s.stall_at])
            s.go_on.wait(30)
            return
        self.wfile.write(body[: s.cuts.pop(0)] if s.cuts else body)


@contextlib.contextmanager
def serving():
    """Give a `Server` that runs."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@contextlib.contextmanager
def answering(data):
    """Give the address of a server that sends these bytes, whatever it is asked, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(1 << 16)
                        connection.sendall(data)

        threading.Thread(target=run, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/file.bin"
        # Wakes the thread, which closing alone would leave waiting.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
