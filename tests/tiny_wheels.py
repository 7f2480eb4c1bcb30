"""Wheels of a few bytes, and folders and servers that offer them: real pip and uv, no network."""

import base64
import http.server
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from hashlib import sha256


def make_wheel(folder, name, version, *, files=None, requires=(), tag="py3-none-any", build="", headers=()):
    """Write one wheel; `files` are its contents by path (default: a module of its name)."""
    stem = f"{name.replace('-', '_')}-{version}"
    files = {f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n"} if files is None else files
    info = f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"{header}\n" for header in headers)
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    tags = "".join(f"Tag: {each}\n" for each in tags_in(tag))
    contents = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n{tags}",
    }
    rows = []
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-{build}{'-' if build else ''}{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def tags_in(tag):
    """`py2.py3-none-any` as its single tags."""
    pythons, abis, platforms = tag.split("-")
    return [
        f"{python}-{abi}-{platform}"
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    ]


def lock_line(wheel, name, version):
    """The line of a lock file for a wheel: exact, with its hash."""
    return f"{name}=={version} \\\n    --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n"


def make_index(folder, *wheels, hashes=False, metadata=False):
    """A simple index as plain files: `folder/<project>/index.html` links to the wheels, which are copied beside it.

    With `hashes` the links carry them; with `metadata` it is offered apart (PEP 658).
    """
    projects = set()
    for wheel in wheels:
        project = folder / wheel.name.split("-")[0].replace("_", "-").lower()
        project.mkdir(parents=True, exist_ok=True)
        (project / wheel.name).write_bytes(wheel.read_bytes())
        projects.add(project)
    for project in sorted(projects):
        links = [_link(file, hashes=hashes, metadata=metadata) for file in sorted(project.glob("*.whl"))]
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        (project / "index.html").write_text(page)
    return folder


def _link(file, *, hashes, metadata):
    href = file.name.replace("+", "%2B")
    if hashes:
        href += f"#sha256={sha256(file.read_bytes()).hexdigest()}"
    offered = ""
    if metadata:
        with zipfile.ZipFile(file) as archive:
            text = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))
        file.with_name(f"{file.name}.metadata").write_bytes(text)
        offered = f' data-core-metadata="sha256={sha256(text).hexdigest()}"'
    return f'<a href="{href}"{offered}>{file.name}</a><br>\n'


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
