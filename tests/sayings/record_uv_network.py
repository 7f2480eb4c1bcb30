"""What uv says of the network.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

from common import DEAD, NOWHERE
from record import PYTHON, UV, Bench, saying
from servers import make_certificate, serve

# --- uv: network


@saying("dns")
def uv_dns(b: Bench) -> None:
    b.uv("six", index=NOWHERE)


@saying("refused")
def uv_refused(b: Bench) -> None:
    b.uv("six", index=DEAD)


@saying("timeout")
def uv_timeout(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://{b.host}/silent/", UV_HTTP_TIMEOUT="1")


@saying("connection-lost")
def uv_hangup(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://{b.host}/hangup/")


@saying("certificate")
def uv_tls_self_signed(b: Bench) -> None:
    with b.index(b.wheel(), cert=make_certificate(b.folder)):
        b.uv("six", index=f"https://{b.host}/simple/")


@saying("certificate-date")
def uv_tls_expired(b: Bench) -> None:
    cert = make_certificate(b.folder, expired=True)
    with b.index(b.wheel(), cert=cert):
        b.uv("six", index=f"https://{b.host}/simple/", SSL_CERT_FILE=str(cert.with_suffix(".crt")))


@saying("certificate-name")
def uv_tls_wrong_name(b: Bench) -> None:
    cert = make_certificate(b.folder, name="other.test")
    with b.index(b.wheel(), cert=cert):
        b.uv("six", index=f"https://{b.host}/simple/", SSL_CERT_FILE=str(cert.with_suffix(".crt")))


@saying("not-tls")
def uv_tls_to_plain_http(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"https://{b.host}/simple/")


@saying("proxy-login")
def uv_proxy_407(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index="https://nowhere.invalid/simple/", HTTPS_PROXY=f"http://{b.host}")


@saying("proxy-login")
def uv_proxy_407_plain(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://{b.host}/407/simple/")


@saying("proxy-unreachable")
def uv_proxy_dead(b: Bench) -> None:
    b.uv("six", index="https://nowhere.invalid/simple/", HTTPS_PROXY="http://127.0.0.1:9")


def _uv_status(b: Bench, status: int) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://{b.host}/{status}/")


@saying("unauthorized")
def uv_401(b: Bench) -> None:
    _uv_status(b, 401)


@saying("unauthorized")
def uv_401_password(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://me:hunter2secret@{b.host}/401/")


@saying("forbidden")
def uv_403(b: Bench) -> None:
    _uv_status(b, 403)


@saying("no-project")
def uv_404(b: Bench) -> None:
    _uv_status(b, 404)


@saying("too-many-requests")
def uv_429(b: Bench) -> None:
    _uv_status(b, 429)


@saying("server-trouble")
def uv_503(b: Bench) -> None:
    _uv_status(b, 503)


@saying("forbidden")
def uv_403_file(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a href="/403/{wheel.name}">{wheel.name}</a></body></html>'.encode()
    with serve({"/simple/six/": page}) as b.host:
        b.uv("six")


@saying("file-gone")
def uv_404_file(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a href="/404/{wheel.name}">{wheel.name}</a></body></html>'.encode()
    with serve({"/simple/six/": page}) as b.host:
        b.uv("six")


@saying("portal")
def uv_portal_index(b: Bench) -> None:
    with serve() as b.host:
        b.uv("six", index=f"http://{b.host}/portal/", how="every page is a WLAN's log-in page")


@saying("damaged-download")
def uv_portal_wheel(b: Bench) -> None:
    with b.index(b.wheel(), change=lambda _: b"<!DOCTYPE html><html>Please log in</html>"):
        b.uv("six", how="the wheel is a WLAN's log-in page")


@saying("unreachable")
def uv_no_network(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.run(
        [
            "unshare",
            "-n",
            UV,
            "pip",
            "install",
            "-p",
            b.venv,
            "--index-url",
            "http://192.0.2.1/simple/",
            "six",
        ],
        how="no network at all",
    )


@saying("dns")
def uv_retries(b: Bench) -> None:
    b.uv("six", index=NOWHERE, UV_HTTP_RETRIES="1")


@saying("connection-lost")
def uv_cut_wheel(b: Bench) -> None:
    big = b.wheel(files={"six.py": "#" * 400_000})
    with b.index(big, change=lambda body: body[: len(body) // 2] + b"CUT-HERE" + b"x" * 200_000):
        b.uv("six", how="the server hangs up in the middle of the wheel")


@saying("damaged-download")
def uv_short_wheel(b: Bench) -> None:
    with b.index(b.wheel(), change=lambda body: body[: len(body) // 2]):
        b.uv("six", how="half of the wheel is missing")


@saying("damaged-download")
def uv_zeros_wheel(b: Bench) -> None:
    with b.index(b.wheel(), change=lambda body: bytes(len(body))):
        b.uv("six", how="the wheel is all zeros")


@saying("hash")
def uv_hash_required(b: Bench) -> None:
    (b.folder / "lock.txt").write_text(f"six==1.0 --hash=sha256:{'0' * 64}\n")
    with b.index(b.wheel()):
        b.uv("--require-hashes", "-r", "lock.txt")


@saying("hash")
def uv_hash_fragment(b: Bench) -> None:
    with b.index(b.wheel(), fragment=f"#sha256={'0' * 64}"):
        b.uv("six")


@saying("hash-missing")
def uv_hash_absent(b: Bench) -> None:
    (b.folder / "lock.txt").write_text("six==1.0\n")
    with b.index(b.wheel()):
        b.uv("--require-hashes", "-r", "lock.txt")
