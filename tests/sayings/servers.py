"""Loopback servers that go wrong on purpose: for the recordings of what pip, uv and git say then."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Hotel WiFi</title></head><body>Please log in.</body></html>" * 20
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `/STATUS/...` with that status, `/PAGE/...` with files, and some words with accidents."""

    files: Mapping[str, bytes] = {}  # by path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        first = self.path.strip("/").split("/")[0]
        if first.isdigit():
            self.answer(int(first), b"no")
        elif first == "silent":
            time.sleep(6)
        elif first == "hangup":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif first == "portal":
            self.answer(200, LOGIN_PAGE)
        elif self.path.split("?")[0] in self.files:
            body = self.files[self.path.split("?")[0]]
            kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
            self.answer(200, body, kind)
        else:
            self.answer(404, b"no")

    do_HEAD = do_GET  # noqa: N815  (http.server asks for these names)
    do_POST = do_GET  # noqa: N815

    def do_CONNECT(self) -> None:
        self.answer(407, b"proxy says no")

    def answer(self, status: int, body: bytes, kind: str = "text/html") -> None:
        length, cut = len(body), b"CUT-HERE"
        if cut in body:  # promises more than it sends, then hangs up
            body = body.split(cut)[0]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        if status == 407:
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length != len(body):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, address: object) -> None:
        pass


@contextmanager
def serve(files: Mapping[str, bytes] | None = None, cert: Path | None = None) -> Iterator[str]:
    """Yields host:port; with `cert` (key and certificate in one file) it speaks TLS."""
    server = Server(("127.0.0.1", 0), type("Files", (Handler,), {"files": files or {}}))
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def make_certificate(folder: Path, *, name: str = "127.0.0.1", expired: bool = False) -> Path:
    """A self-signed certificate with its key, in one file."""
    stem = f"{name}{'-expired' if expired else ''}"
    key, crt, both = (folder / f"{stem}.{end}" for end in ("key", "crt", "pem"))
    alternative = f"subjectAltName={'IP' if name[0].isdigit() else 'DNS'}:{name}"
    request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-subj", f"/CN={name}"]
    extension = folder / f"{stem}.ext"
    extension.write_text(f"{alternative}\nbasicConstraints=CA:FALSE\n")
    if expired:
        subprocess.run([*request, "-out", f"{key}.csr"], check=True, capture_output=True)
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("01")
        config = folder / "ca.conf"
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndir={folder}\ndatabase={folder}/index.txt\nserial={folder}/serial\n"
            f"new_certs_dir={folder}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        subprocess.run(
            ["openssl", "ca", "-config", str(config), "-selfsign", "-keyfile", str(key), "-in", f"{key}.csr",
             "-out", str(crt), "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-batch",
             "-extfile", str(extension)],
            check=True, capture_output=True,
        )  # fmt: skip
    else:
        subprocess.run(
            [*request, "-x509", "-days", "3650", "-out", str(crt), "-addext", alternative,
             "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, capture_output=True,
        )  # fmt: skip
    both.write_text(key.read_text() + crt.read_text())
    return both
