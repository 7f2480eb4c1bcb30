"""Wheels of a few bytes, and folders and servers that offer them: real pip and uv, no network."""

import base64
import http.server
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from hashlib import sha256


def make_wheel(folder, name, version, *, files=None, requires=()):
    """Write one wheel; `files` are its contents by path (default: a module of its name)."""
    stem = f"{name.replace('-', '_')}-{version}"
    files = {f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n"} if files is None else files
    info = f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    contents = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def lock_line(wheel, name, version):
    """The line of a lock file for a wheel: exact, with its hash."""
    return f"{name}=={version} \\\n    --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n"


def make_index(folder, *wheels):
    """A simple index as plain files: `folder/<project>/index.html` links to the wheels, which are copied beside it."""
    for wheel in wheels:
        project = folder / wheel.name.split("-")[0].replace("_", "-")
        project.mkdir(parents=True, exist_ok=True)
        (project / wheel.name).write_bytes(wheel.read_bytes())
        links = "".join(
            f'<a href="{file.name.replace("+", "%2B")}">{file.name}</a><br>\n'
            for file in sorted(project.glob("*.whl"))
        )
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return folder


class _Handler(http.server.SimpleHTTPRequestHandler):
    password = None

    def send_head(self):
        token = base64.b64encode(self.password.encode()).decode() if self.password else None
        if token and self.headers.get("Authorization") != f"Basic {token}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return super().send_head()

    def log_message(self, *_):
        pass


@contextmanager
def serve(folder, password=None):
    """Serve a folder on a loopback port; with `password` (`name:word`) only to those who give it. Yields host:port."""
    handler = type("Handler", (_Handler,), {"password": password})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
