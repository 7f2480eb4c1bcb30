"""Hostile servers on loopback: they stall, cut, lie, redirect and refuse as told, and remember what they were asked."""

import contextlib
import http.server
import socket
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Trick:
    """What one answer does wrong. Each request for a path takes the next trick; without any left all is right."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    body: bytes | None = None  # instead of the file's
    cut: int | None = None  # close the connection after so many bytes of the body
    stall: int | None = None  # send nothing more after so many bytes, and keep the connection
    pause_s: float = 0.0  # before the first byte of the body
    slow_s: float = 0.0  # between pieces of 64 KiB
    hide_length: bool = False  # no Content-Length: the end of the connection is the end of the file


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict

    @property
    def first_byte(self):
        words = self.headers.get("range")
        return int(words.removeprefix("bytes=").partition("-")[0]) if words else 0


class Site:
    """Files by path, tricks by path, and the list of what was asked."""

    def __init__(self, files=None, *, ranges=True, etags=True):
        self.files = dict(files or {})
        self.tricks = defaultdict(list)
        self.ranges = ranges
        self.etags = etags
        self.asked = []
        self.is_closing = threading.Event()
        self.port = 0

    def url(self, path, *, host="127.0.0.1", user=""):
        return f"http://{user}{host}:{self.port}{path}"

    def first_bytes(self, path):
        return [asked.first_byte for asked in self.asked if asked.path == path]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, *_):
        pass  # clients that are killed close their connections


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        site = self.server.site
        headers = {name.lower(): value for name, value in self.headers.items()}
        site.asked.append(Asked(self.command, self.path, headers))
        trick = site.tricks[self.path].pop(0) if site.tricks[self.path] else Trick()
        whole = site.files.get(self.path)
        self.close_connection = True
        if trick.status is not None or whole is None:
            self.answer(trick.status or 404, trick.headers, trick.body or b"no", trick)
            return
        whole = whole if trick.body is None else trick.body
        tag = f'"{hash(whole) & 0xFFFFFFFF:x}"'
        own = {"ETag": tag} if site.etags else {}
        wish = headers.get("range") if site.ranges else None
        if wish and headers.get("if-range", tag) == tag:
            start = int(wish.removeprefix("bytes=").partition("-")[0])
            if start >= len(whole):
                self.answer(416, {"Content-Range": f"bytes */{len(whole)}"}, b"", trick)
                return
            own["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
            self.answer(206, {**own, **trick.headers}, whole[start:], trick)
        else:
            self.answer(200, {**own, **trick.headers}, whole, trick)

    def answer(self, status, headers, body, trick):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not trick.hide_length and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wait(trick.pause_s)
        end = min(limit for limit in (len(body), trick.cut, trick.stall) if limit is not None)
        for at in range(0, end, 1 << 16):
            self.wfile.write(body[at : min(end, at + (1 << 16))])
            self.wait(trick.slow_s)
        self.wfile.flush()
        if trick.stall is not None:
            self.wait(60)

    def wait(self, seconds):
        if seconds:
            self.server.site.is_closing.wait(seconds)


@contextmanager
def serving(site, *, tls=None):
    """Serve a site on a loopback port; `tls` is an SSLContext. Yields the site, which knows its port now."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = site
    site.port = server.server_port
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.is_closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Cutter:
    """A TCP way to another port which dies after so many bytes have come back (per connection), or goes silent."""

    def __init__(self, target, *, after=None, silent=False):
        self.target, self.after, self.silent = target, after, silent
        self.connections = 0
        self.received = b""  # of what clients sent
        self._is_closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)  # closing it would not wake the thread that waits on it
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._is_closing.set()
        self._thread.join()
        self._listener.close()

    def _accept(self):
        while not self._is_closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._copy, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, self.after), daemon=True).start()

    def _copy(self, source, target, limit):
        left = limit
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if limit is None and target.getpeername()[1] == self.target:
                    self.received += data
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                target.sendall(data)
                if left == 0:
                    while self.silent and not self._is_closing.is_set():
                        time.sleep(0.05)
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
