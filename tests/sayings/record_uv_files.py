"""What uv says of drives, files, its cache and Python.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

from common import BIG, STRACE, as_nobody
from record import PYTHON, UV, Bench, saying

# --- uv: disk, files, cache, Python


@saying("disk-full")
def uv_disk_full_venv(b: Bench) -> None:
    with b.small_disk("venv") as venv:
        b.quietly([UV, "venv", "-p", PYTHON, "--allow-existing", venv])
        with b.index(b.wheel(files=BIG)):
            b.uv("six", how="the environment's drive has 1 MB")


@saying("disk-full")
def uv_disk_full_cache(b: Bench) -> None:
    with b.small_disk("cache"), b.index(b.wheel(files=BIG)):
        b.uv("six", how="the cache's drive has 1 MB")


@saying("disk-full")
def uv_disk_inodes(b: Bench) -> None:
    files = {f"six/{n}.py": "" for n in range(400)}
    with b.small_disk("cache", "nr_inodes=100"), b.index(b.wheel(files=files)):
        b.uv("six", how="the cache's drive has 100 inodes")


def _injected(b: Bench, call: str, error: str, when: int = 1) -> None:
    """uv with one system call failing: for errors that this file system does not have."""
    wheel = b.wheel(files=BIG)
    if not b.venv.exists():
        b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    words = [*STRACE, "-e", f"inject={call}:error={error}:when={when}+"]
    b.run([*words, UV, "pip", "install", "--link-mode", "copy", "-p", b.venv, "--no-index", wheel])


@saying("quota")
def uv_quota(b: Bench) -> None:
    _injected(b, "copy_file_range", "EDQUOT")


@saying("io-error")
def uv_io_error(b: Bench) -> None:
    _injected(b, "copy_file_range", "EIO")


@saying("permission")
def uv_not_permitted(b: Bench) -> None:
    _injected(b, "fchmod", "EPERM")


@saying("in-use")
def uv_busy(b: Bench) -> None:
    _injected(b, "rename", "EBUSY", 2)


@saying("permission")
def uv_permission_venv(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", "/usr/bin/python3", b.venv])
    wheel = b.wheel()
    prefix = as_nobody(b, b.folder / "cache", b.folder / "wheels")
    b.run(
        [*prefix, UV, "pip", "install", "-p", b.venv, "--no-index", wheel],
        how="the environment belongs to root",
    )


@saying("permission")
def uv_permission_cache(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", "/usr/bin/python3", b.venv])
    wheel = b.wheel()
    prefix = as_nobody(b, b.venv, b.folder / "wheels")
    (b.folder / "cache").chmod(0o700)
    b.run([*prefix, UV, "pip", "install", "-p", b.venv, "--no-index", wheel], how="the cache belongs to root")


@saying("read-only")
def uv_read_only(b: Bench) -> None:
    wheel = b.wheel()
    with b.small_disk("venv", "size=9m") as venv:
        b.quietly([UV, "venv", "-p", PYTHON, "--allow-existing", venv])
        b.quietly(["mount", "-o", "remount,ro", venv])
        b.run([UV, "pip", "install", "-p", venv, "--no-index", wheel], how="the drive is mounted read-only")


@saying("path-too-long")
def uv_path_too_long(b: Bench) -> None:
    wheel = b.wheel(files={"six/" + "n" * 300 + ".py": ""})
    if not b.venv.exists():
        b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.run(
        [UV, "pip", "install", "-p", b.venv, "--no-index", wheel],
        how="a file name of 303 characters in the wheel",
    )


@saying("broken-package")
def uv_metadata_missing(b: Bench) -> None:
    wheel = b.wheel()
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.quietly([UV, "pip", "install", "-p", b.venv, "--no-index", wheel])
    next(b.venv.glob("lib/*/site-packages/six-1.0.dist-info/METADATA")).unlink()
    b.run(
        [UV, "pip", "install", "-p", b.venv, "--no-index", b.wheel("seven", requires=("six",))],
        how="METADATA of six is gone",
    )


@saying("none")
def fine_uv_record_missing(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.quietly([UV, "pip", "install", "-p", b.venv, "--no-index", b.wheel()])
    next(b.venv.glob("lib/*/site-packages/six-1.0.dist-info/RECORD")).unlink()
    b.run(
        [UV, "pip", "install", "-p", b.venv, "--no-index", b.wheel("six", "2.0")], how="RECORD of six is gone"
    )


@saying("none")
def fine_uv_hard_link(b: Bench) -> None:
    wheel = b.wheel()
    with b.small_disk("venv", "size=9m") as venv:
        b.quietly([UV, "venv", "-p", PYTHON, "--allow-existing", venv])
        b.run(
            [UV, "pip", "install", "-p", venv, "--no-index", wheel],
            how="cache and environment on two drives: a warning only",
        )


@saying("lock-busy")
def uv_lock_timeout(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    lock = b.folder / "cache" / ".lock"
    lock.parent.mkdir(exist_ok=True)
    words = f'exec 9>>{lock}; flock 9; exec "$@"'
    b.run(
        ["bash", "-c", words, "x", UV, "cache", "clean"],
        UV_LOCK_TIMEOUT="1",
        how="another process holds the cache's lock",
    )


@saying("no-python")
def uv_no_python(b: Bench) -> None:
    b.run([UV, "venv", "-p", "3.99", b.venv])


@saying("no-python")
def uv_no_python_downloads(b: Bench) -> None:
    b.run(
        [UV, "venv", "-p", "3.9", "--managed-python", b.venv], UV_PYTHON_INSTALL_DIR=str(b.folder / "pythons")
    )


@saying("python-download")
def uv_python_download(b: Bench) -> None:
    b.run(
        [UV, "python", "install", "3.12"], UV_PYTHON_INSTALL_MIRROR="http://127.0.0.1:9/x",
        UV_PYTHON_DOWNLOADS="manual", UV_PYTHON_INSTALL_DIR=str(b.folder / "pythons"),
    )  # fmt: skip


@saying("broken-environment")
def uv_broken_venv(b: Bench) -> None:
    wheel = b.wheel()
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    (b.venv / "bin" / "python").unlink()
    (b.venv / "bin" / "python").symlink_to("/gone/python")
    b.run(
        [UV, "pip", "install", "-p", b.venv, "--no-index", wheel],
        how="the Python under the environment is gone",
    )


@saying("broken-environment")
def uv_silent_python(b: Bench) -> None:
    wheel = b.wheel()
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    (b.venv / "bin" / "python").unlink()
    (b.venv / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
    (b.venv / "bin" / "python").chmod(0o755)
    b.run(
        [UV, "pip", "install", "-p", b.venv, "--no-index", wheel],
        how="the environment's Python does not work",
    )


@saying("externally-managed")
def uv_externally_managed(b: Bench) -> None:
    b.run([UV, "pip", "install", "-p", "/usr/bin/python3", "--no-index", b.wheel()])


@saying("none")
def fine_uv_install(b: Bench) -> None:
    with b.index(b.wheel(requires=("seven",)), b.wheel("seven", "7.0")):
        b.uv("six")


@saying("none")
def fine_uv_dry_run(b: Bench) -> None:
    with b.index(b.wheel(requires=("seven",)), b.wheel("seven", "7.0")):
        b.uv("six", "--dry-run", "--verbose")


@saying("none")
def fine_uv_venv(b: Bench) -> None:
    b.run([UV, "venv", "-p", PYTHON, b.venv])
