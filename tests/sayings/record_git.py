"""What git says.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common import as_nobody
from record import Bench, saying
from servers import make_certificate, serve

# --- git

if TYPE_CHECKING:
    from pathlib import Path


def _repository(b: Bench, name: str = "repo") -> Path:
    folder = b.folder / name
    folder.mkdir()
    b.quietly(["git", "init", "-q", "-b", "main", folder])
    (folder / "train.py").write_text("print()\n")
    b.quietly(["git", "-c", "core.autocrlf=input", "add", "."], cwd=folder)
    b.quietly(["git", "-c", "user.name=u", "-c", "user.email=u@x.test", "commit", "-qm", "one"], cwd=folder)
    return folder


def _clone(b: Bench, url: str, *options: str, how: str = "", **env: str) -> None:
    b.run(["git", *options, "clone", url, "code"], how=how, **env)


@saying("dns")
def git_dns(b: Bench) -> None:
    _clone(b, "https://nowhere.invalid/kohya-ss/sd-scripts")


@saying("refused")
def git_refused(b: Bench) -> None:
    _clone(b, "http://127.0.0.1:9/kohya-ss/sd-scripts")


@saying("certificate")
def git_tls_self_signed(b: Bench) -> None:
    with serve(cert=make_certificate(b.folder)) as b.host:
        _clone(b, f"https://{b.host}/x.git")


@saying("certificate")
def git_tls_expired(b: Bench) -> None:
    cert = make_certificate(b.folder, expired=True)
    with serve(cert=cert) as b.host:
        _clone(b, f"https://{b.host}/x.git", "-c", f"http.sslCAInfo={cert.with_suffix('.crt')}")


@saying("certificate-name")
def git_tls_wrong_name(b: Bench) -> None:
    cert = make_certificate(b.folder, name="other.test")
    with serve(cert=cert) as b.host:
        _clone(b, f"https://{b.host}/x.git", "-c", f"http.sslCAInfo={cert.with_suffix('.crt')}")


@saying("proxy-login")
def git_proxy_407(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, "https://nowhere.invalid/x.git", "-c", f"http.proxy=http://{b.host}")


@saying("proxy-unreachable")
def git_proxy_dead(b: Bench) -> None:
    _clone(b, "https://nowhere.invalid/x.git", "-c", "http.proxy=http://127.0.0.1:9")


@saying("proxy-unreachable")
def git_proxy_dns(b: Bench) -> None:
    _clone(b, "https://nowhere.invalid/x.git", "-c", "http.proxy=http://proxy.invalid:3128")


@saying("git-login")
def git_401(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://{b.host}/401/x.git", how="no terminal for a password")


@saying("git-login")
def git_401_password(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://me:hunter2secret@{b.host}/401/x.git")


@saying("forbidden")
def git_403(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://{b.host}/403/x.git")


@saying("git-no-repository")
def git_404(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://{b.host}/404/x.git")


@saying("server-trouble")
def git_503(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://{b.host}/503/x.git")


@saying("connection-lost")
def git_hangup(b: Bench) -> None:
    with serve() as b.host:
        _clone(b, f"http://{b.host}/hangup/x.git")


@saying("portal")
def git_portal(b: Bench) -> None:
    with serve() as b.host:
        _clone(
            b,
            f"http://{b.host}/portal/x.git",
            how="every page is a log-in page: git takes it for an empty repository",
        )


@saying("portal")
def git_portal_fetch(b: Bench) -> None:
    repo = _repository(b)
    with serve() as b.host:
        b.run(["git", "fetch", "--depth", "1", f"http://{b.host}/portal/x.git", "1" * 40], cwd=repo)


@saying("timeout")
def git_slow(b: Bench) -> None:
    with serve() as b.host:
        _clone(
            b, f"http://{b.host}/silent/x.git", "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=1"
        )


@saying("connection-lost")
def git_dies(b: Bench) -> None:
    """A real `git http-backend` whose answer is cut in the middle of the pack."""
    import http.server
    import subprocess
    import threading

    repo = _repository(b)
    (repo / "big.bin").write_bytes(os.urandom(2_000_000))
    b.quietly(["git", "add", "."], cwd=repo)
    b.quietly(["git", "-c", "user.name=u", "-c", "user.email=u@x.test", "commit", "-qm", "two"], cwd=repo)

    class Dying(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            path, _, query = self.path.partition("?")
            env = {
                "GIT_PROJECT_ROOT": str(b.folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(size), "PATH": os.environ["PATH"], "HOME": str(b.folder),
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            }  # fmt: skip
            done = subprocess.run(
                ["git", "http-backend"], env=env, input=self.rfile.read(size), capture_output=True, check=True
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                self.send_header(*line.split(": ", 1))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if len(body) < 1_000_000 else body[:900_000])
            self.close_connection = True

        do_POST = do_GET  # noqa: N815  (http.server asks for this name)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    b.host = f"127.0.0.1:{server.server_port}"
    _clone(b, f"http://{b.host}/repo/.git", how="the server dies in the middle of the pack")
    server.shutdown()


@saying("git-commit")
def git_not_our_ref(b: Bench) -> None:
    repo = _repository(b)
    target = b.folder / "code"
    b.quietly(["git", "init", "-q", target])
    b.run(["git", "fetch", "--depth", "1", f"file://{repo}", "1" * 40], cwd=target)


@saying("git-commit")
def git_unadvertised(b: Bench) -> None:
    repo = _repository(b)
    target = b.folder / "code"
    b.quietly(["git", "init", "-q", target])
    (repo / "x").write_text("x")
    b.quietly(["git", "add", "."], cwd=repo)
    b.quietly(["git", "-c", "user.name=u", "-c", "user.email=u@x.test", "commit", "-qm", "two"], cwd=repo)
    import subprocess

    first = subprocess.run(
        ["git", "rev-parse", "HEAD~1"], cwd=repo, capture_output=True, text=True, check=True
    ).stdout.strip()
    b.quietly(["git", "config", "uploadpack.allowAnySHA1InWant", "false"], cwd=repo)
    b.run(["git", "-c", "protocol.version=0", "fetch", "--depth", "1", f"file://{repo}", first], cwd=target)


@saying("git-ref")
def git_no_branch(b: Bench) -> None:
    repo = _repository(b)
    b.run(["git", "clone", "--branch", "v9.9", f"file://{repo}", "code"])


@saying("git-ref")
def git_no_remote_ref(b: Bench) -> None:
    repo = _repository(b)
    b.run(["git", "fetch", f"file://{repo}", "v9.9"], cwd=repo)


@saying("git-ref")
def git_no_tree(b: Bench) -> None:
    repo = _repository(b)
    b.run(["git", "checkout", "--detach", "1" * 40], cwd=repo)


@saying("git-owner")
def git_dubious(b: Bench) -> None:
    repo = _repository(b)
    os.chown(repo, 12345, 12345)
    os.chown(repo / ".git", 12345, 12345)
    b.run(["git", "status"], cwd=repo)


@saying("git-lock")
def git_index_lock(b: Bench) -> None:
    repo = _repository(b)
    (repo / ".git" / "index.lock").write_text("")
    (repo / "train.py").write_text("changed")
    b.run(["git", "reset", "--hard"], cwd=repo)


@saying("git-changed")
def git_local_changes(b: Bench) -> None:
    repo = _repository(b)
    b.quietly(["git", "checkout", "-q", "-b", "other"], cwd=repo)
    (repo / "train.py").write_text("other\n")
    b.quietly(["git", "-c", "user.name=u", "-c", "user.email=u@x.test", "commit", "-qam", "two"], cwd=repo)
    (repo / "train.py").write_text("mine\n")
    b.run(["git", "checkout", "main"], cwd=repo)


@saying("git-folder-not-empty")
def git_not_empty(b: Bench) -> None:
    repo = _repository(b)
    (b.folder / "code").mkdir()
    (b.folder / "code" / "x").write_text("x")
    _clone(b, f"file://{repo}")


@saying("disk-full")
def git_disk_full(b: Bench) -> None:
    repo = _repository(b)
    (repo / "big.bin").write_bytes(os.urandom(3_000_000))
    b.quietly(["git", "add", "."], cwd=repo)
    b.quietly(["git", "-c", "user.name=u", "-c", "user.email=u@x.test", "commit", "-qm", "two"], cwd=repo)
    with b.small_disk("full") as full:
        b.run(["git", "clone", f"file://{repo}", full / "code"])


@saying("permission")
def git_permission(b: Bench) -> None:
    repo = _repository(b)
    prefix = as_nobody(b)
    b.run([*prefix, "git", "-c", "safe.directory=*", "clone", f"file://{repo}", b.folder / "code"])


@saying("read-only")
def git_read_only(b: Bench) -> None:
    repo = _repository(b)
    with b.small_disk("ro") as folder:
        b.quietly(["mount", "-o", "remount,ro", folder])
        b.run(["git", "clone", f"file://{repo}", folder / "code"])


@saying("path-too-long")
def git_path_too_long(b: Bench) -> None:
    repo = _repository(b)
    b.run(["git", "clone", f"file://{repo}", "n" * 300])


@saying("git-not-repository")
def git_no_repository(b: Bench) -> None:
    b.run(["git", "status"], GIT_CEILING_DIRECTORIES="/tmp")


@saying("git-no-repository")
def git_folder_is_no_repository(b: Bench) -> None:
    _clone(b, "file:///gone/repo")


@saying("git-damaged")
def git_damaged(b: Bench) -> None:
    repo = _repository(b)
    for path in (repo / ".git" / "objects").glob("??/*"):
        path.chmod(0o644)
        path.write_bytes(b"x")
    b.run(["git", "checkout", "-f"], cwd=repo)


@saying("none")
def fine_git_clone(b: Bench) -> None:
    repo = _repository(b)
    _clone(b, f"file://{repo}")


@saying("none")
def fine_git_autocrlf(b: Bench) -> None:
    repo = _repository(b)
    (repo / "train.py").write_text("a\nb\n")
    b.run(["git", "-c", "core.autocrlf=true", "add", "-v", "."], cwd=repo)


@saying("none")
def fine_git_detached(b: Bench) -> None:
    repo = _repository(b)
    b.run(["git", "checkout", "--detach", "HEAD"], cwd=repo)


@saying("git-program")
def git_command_not_found(b: Bench) -> None:
    b.run(["/bin/sh", "-c", "git clone https://x.test/y"], PATH="/nonexistent")
