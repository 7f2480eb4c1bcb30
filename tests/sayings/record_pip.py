"""What pip says.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

from pathlib import Path

from common import BIG, DEAD, FETCHED, NOWHERE, SETUP_C, STRACE, as_nobody, with_setuptools
from record import PYTHON, UV, Bench, saying
from servers import make_certificate, serve

# --- pip


@saying("dns")
def pip_dns(b: Bench) -> None:
    b.pip("six", index=NOWHERE.replace("http:", "https:"))


@saying("untrusted-host")
def pip_untrusted(b: Bench) -> None:
    b.pip("six", index=NOWHERE)


@saying("refused")
def pip_refused(b: Bench) -> None:
    b.pip("six", index=DEAD)


@saying("timeout")
def pip_timeout(b: Bench) -> None:
    with serve() as b.host:
        b.pip("six", "--timeout", "1", index=f"http://{b.host}/silent/")


@saying("connection-lost")
def pip_hangup(b: Bench) -> None:
    with serve() as b.host:
        b.pip("six", index=f"http://{b.host}/hangup/")


@saying("certificate")
def pip_tls_self_signed(b: Bench) -> None:
    with b.index(b.wheel(), cert=make_certificate(b.folder)):
        b.pip("six", index=f"https://{b.host}/simple/")


@saying("certificate-date")
def pip_tls_expired(b: Bench) -> None:
    cert = make_certificate(b.folder, expired=True)
    with b.index(b.wheel(), cert=cert):
        b.pip("six", "--cert", cert.with_suffix(".crt"), index=f"https://{b.host}/simple/")


@saying("certificate-name")
def pip_tls_wrong_name(b: Bench) -> None:
    cert = make_certificate(b.folder, name="other.test")
    with b.index(b.wheel(), cert=cert):
        b.pip("six", "--cert", cert.with_suffix(".crt"), index=f"https://{b.host}/simple/")


@saying("certificate-file")
def pip_cert_file_missing(b: Bench) -> None:
    b.pip("six", "--cert", "/gone/ca.pem", index="https://127.0.0.1:9/simple/")


@saying("not-tls")
def pip_tls_to_plain_http(b: Bench) -> None:
    with serve() as b.host:
        b.pip("six", index=f"https://{b.host}/simple/")


@saying("proxy-login")
def pip_proxy_407(b: Bench) -> None:
    with serve() as b.host:
        b.pip("six", "--proxy", f"http://{b.host}", index="https://nowhere.invalid/simple/")


@saying("proxy-unreachable")
def pip_proxy_dead(b: Bench) -> None:
    b.pip("six", "--proxy", "http://127.0.0.1:9", index="https://nowhere.invalid/simple/")


def _pip_status(b: Bench, status: int) -> None:
    with serve() as b.host:
        b.pip("six", index=f"http://{b.host}/{status}/", how=f"the index answers {status}")


@saying("nothing-found")
def pip_401(b: Bench) -> None:
    _pip_status(b, 401)


@saying("nothing-found")
def pip_403(b: Bench) -> None:
    _pip_status(b, 403)


@saying("nothing-found")
def pip_404(b: Bench) -> None:
    _pip_status(b, 404)


@saying("nothing-found")
def pip_503(b: Bench) -> None:
    _pip_status(b, 503)


@saying("forbidden")
def pip_403_file(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a href="/403/{wheel.name}">{wheel.name}</a></body></html>'.encode()
    with serve({"/simple/six/": page}) as b.host:
        b.pip("six")


@saying("file-gone")
def pip_404_file(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a href="/404/{wheel.name}">{wheel.name}</a></body></html>'.encode()
    with serve({"/simple/six/": page}) as b.host:
        b.pip("six")


@saying("nothing-found")
def pip_portal_index(b: Bench) -> None:
    with serve() as b.host:
        b.pip(
            "six",
            index=f"http://{b.host}/portal/",
            how="every page is a WLAN's log-in page: pip cannot tell it from an empty one",
        )


@saying("damaged-download")
def pip_portal_wheel(b: Bench) -> None:
    with b.index(b.wheel(), change=lambda _: b"<!DOCTYPE html><html>Please log in</html>"):
        b.pip("six")


@saying("damaged-download")
def pip_cut_wheel(b: Bench) -> None:
    big = b.wheel(files={"six.py": "#" * 400_000})
    with b.index(big, change=lambda body: body[: len(body) // 2] + b"CUT-HERE" + b"x" * 200_000):
        b.pip("six")


@saying("connection-lost")
def pip_new_cut_wheel(b: Bench) -> None:
    _new_pip(b)
    big = b.wheel(files={"six.py": "#" * 400_000})
    with b.index(big, change=lambda body: body[: len(body) // 2] + b"CUT-HERE" + b"x" * 200_000):
        b.pip("six", "--resume-retries", "0", how="pip 26.3")


def _new_pip(b: Bench) -> None:
    """pip as it is today."""
    wheel = next(FETCHED.glob("pip-*.whl"))
    b.quietly([PYTHON, "-m", "venv", b.venv])
    b.quietly([b.venv / "bin" / "python", "-m", "pip", "install", "--no-index", "-U", wheel])


@saying("dns")
def pip_new_dns(b: Bench) -> None:
    _new_pip(b)
    b.pip("six", index=NOWHERE.replace("http:", "https:"))


@saying("certificate")
def pip_new_tls_self_signed(b: Bench) -> None:
    _new_pip(b)
    with b.index(b.wheel(), cert=make_certificate(b.folder)):
        b.pip("six", index=f"https://{b.host}/simple/")


@saying("proxy-login")
def pip_new_proxy_407(b: Bench) -> None:
    _new_pip(b)
    with serve() as b.host:
        b.pip("six", "--proxy", f"http://{b.host}", index="https://nowhere.invalid/simple/")


@saying("timeout")
def pip_new_timeout(b: Bench) -> None:
    _new_pip(b)
    with serve() as b.host:
        b.pip("six", "--timeout", "1", index=f"http://{b.host}/silent/")


@saying("conflict")
def pip_new_conflict(b: Bench) -> None:
    _new_pip(b)
    _pip_conflict(b)


@saying("hash")
def pip_hash_required(b: Bench) -> None:
    (b.folder / "lock.txt").write_text(f"six==1.0 --hash=sha256:{'0' * 64}\n")
    with b.index(b.wheel()):
        b.pip("--require-hashes", "-r", "lock.txt")


@saying("hash")
def pip_hash_fragment(b: Bench) -> None:
    with b.index(b.wheel(), fragment=f"#sha256={'0' * 64}"):
        b.pip("six")


@saying("hash-missing")
def pip_hash_absent(b: Bench) -> None:
    (b.folder / "lock.txt").write_text("six==1.0\n")
    with b.index(b.wheel()):
        b.pip("--require-hashes", "-r", "lock.txt")


@saying("no-version")
def pip_no_version(b: Bench) -> None:
    with b.index(b.wheel()):
        b.pip("six==9.9")


@saying("nothing-found")
def pip_no_wheel_python(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp39-cp39-manylinux1_x86_64.whl"}):
        b.pip("six", how="only a wheel for another Python: pip says no more than this")


@saying("no-wheel-platform")
def pip_wheel_file_platform(b: Bench) -> None:
    wheel = b.wheel()
    other = wheel.rename(wheel.with_name("six-1.0-cp312-cp312-win_amd64.whl"))
    b.pip("--no-index", other)


@saying("wrong-python")
def pip_requires_python(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a data-requires-python="&gt;=3.14" href="/files/{wheel.name}">{wheel.name}</a></body></html>'
    with serve({"/simple/six/": page.encode(), f"/files/{wheel.name}": wheel.read_bytes()}) as b.host:
        b.pip("six")


def _pip_conflict(b: Bench) -> None:
    wheels = [
        b.wheel("torch", "2.5.1"),
        b.wheel("torch", "2.6.0"),
        b.wheel("xformers", "0.0.29", requires=("torch==2.6.0",)),
    ]
    with b.index(*wheels):
        b.pip("torch==2.5.1", "xformers")


@saying("conflict")
def pip_conflict(b: Bench) -> None:
    _pip_conflict(b)


@saying("bad-requirement")
def pip_bad_requirement(b: Bench) -> None:
    b.pip("six=>1", index=DEAD)


@saying("bad-requirement")
def pip_bad_requirement_file(b: Bench) -> None:
    (b.folder / "lock.txt").write_text("six==1.0\n<<<<<<< HEAD\n")
    b.pip("-r", "lock.txt", index=DEAD)


@saying("file-missing")
def pip_requirements_missing(b: Bench) -> None:
    b.pip("-r", "gone.txt", index=DEAD)


@saying("file-missing")
def uv_requirements_missing(b: Bench) -> None:
    b.uv("-r", "gone.txt", index=DEAD)


@saying("build-failed")
def pip_build_raises(b: Bench) -> None:
    words = with_setuptools(b)
    with b.index(b.sdist("spam", "raise SystemExit('nvcc is needed')")):
        b.pip("spam", *words)


@saying("no-compiler")
def pip_no_compiler(b: Bench) -> None:
    words = with_setuptools(b)
    b.quietly([b.venv / "bin" / "python", "-m", "pip", "list"])
    with b.index(b.sdist("spam", SETUP_C)):
        b.pip("spam", *words, CC="/nonexistent/gcc")


@saying("build-tools")
def pip_build_needs_setuptools(b: Bench) -> None:
    with b.index(b.sdist("spam", SETUP_C, requires='"setuptools"')):
        b.pip("spam")


@saying("externally-managed")
def pip_externally_managed(b: Bench) -> None:
    base = b.folder / "base"
    b.quietly([PYTHON, "-m", "venv", base])
    words = (
        "import runpy, sys, sysconfig; sys.prefix = sys.base_prefix; sys.argv = ['pip', 'install', 'six'];"
        f"sysconfig.get_path = lambda *a, **k: {str(b.folder)!r}; runpy.run_module('pip', run_name='__main__')"
    )
    (b.folder / "EXTERNALLY-MANAGED").write_text(Path("/usr/lib/python3.11/EXTERNALLY-MANAGED").read_text())
    b.run(
        [base / "bin" / "python", "-c", words],
        how="Debian's own EXTERNALLY-MANAGED beside the standard library",
    )


@saying("no-pip")
def pip_missing(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.run([b.venv / "bin" / "python", "-m", "pip", "install", "six"])


@saying("permission")
def pip_permission(b: Bench) -> None:
    b.quietly(["/usr/bin/python3", "-m", "venv", "--without-pip", b.venv])
    b.quietly([UV, "pip", "install", "-p", b.venv, "--no-index", next(FETCHED.glob("pip-*.whl"))])
    wheel = b.wheel()
    prefix = as_nobody(b, b.folder / "pipcache")
    b.run([*prefix, b.venv / "bin" / "python", "-m", "pip", "install", "--no-index", wheel])


@saying("disk-full")
def pip_disk_full(b: Bench) -> None:
    with b.small_disk("venv", "size=40m") as venv:
        b.quietly([PYTHON, "-m", "venv", venv])
        (venv / "ballast").write_bytes(bytes(max(0, __import__("shutil").disk_usage(venv).free - 1_000_000)))
        wheel = b.wheel(files=BIG)
        b.run([venv / "bin" / "python", "-m", "pip", "install", "--no-index", wheel])


@saying("read-only")
def pip_read_only(b: Bench) -> None:
    wheel = b.wheel()
    with b.small_disk("venv", "size=60m") as venv:
        b.quietly([PYTHON, "-m", "venv", venv])
        b.quietly(["mount", "-o", "remount,ro", venv])
        b.run([venv / "bin" / "python", "-m", "pip", "install", "--no-index", wheel])


@saying("quota")
def pip_quota(b: Bench) -> None:
    b.quietly([PYTHON, "-m", "venv", b.venv])
    wheel = b.wheel(files=BIG)
    words = [
        *STRACE,
        "-e",
        "inject=openat,write:error=EDQUOT",
        "-P",
        f"{b.venv}/lib/python3.12/site-packages/six/3.py",
    ]
    b.run([*words, b.venv / "bin" / "python", "-m", "pip", "install", "--no-index", wheel])


@saying("path-too-long")
def pip_path_too_long(b: Bench) -> None:
    wheel = b.wheel(files={"six/" + "n" * 300 + ".py": ""})
    b.pip("--no-index", wheel)


@saying("out-of-memory")
def pip_memory(b: Bench) -> None:
    b.quietly([PYTHON, "-m", "venv", b.venv])
    wheel = b.wheel(files={"six.py": "#" * 90_000_000})
    python = b.venv / "bin" / "python"
    b.run(["bash", "-c", f"ulimit -v 130000; exec {python} -m pip install --no-index {wheel}"])


@saying("none")
def fine_pip_install(b: Bench) -> None:
    with b.index(b.wheel(requires=("seven",)), b.wheel("seven", "7.0")):
        b.pip("six")


@saying("unauthorized")
def pip_401_asks(b: Bench) -> None:
    """Without --no-input pip asks a terminal that is not there."""
    b.quietly([PYTHON, "-m", "venv", b.venv])
    with serve() as b.host:
        b.run([b.venv / "bin" / "python", "-m", "pip", "install", "-i", f"http://{b.host}/401/", "six"])


@saying("nothing-found")
def pip_new_401(b: Bench) -> None:
    _new_pip(b)
    _pip_status(b, 401)


@saying("nothing-found")
def pip_new_403(b: Bench) -> None:
    _new_pip(b)
    _pip_status(b, 403)


@saying("none")
def fine_pip_retry(b: Bench) -> None:
    with b.index(b.wheel()):
        b.pip("six", "--retries", "1", "--extra-index-url", f"http://{b.host}/404/")
