"""What uv says of versions, wheels and builds.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

from common import DEAD, SETUP_C, with_setuptools
from record import Bench, saying
from servers import serve

# --- uv: resolution


@saying("no-version")
def uv_no_version(b: Bench) -> None:
    with b.index(b.wheel()):
        b.uv("six==9.9")


@saying("no-wheel-python")
def uv_no_wheel_python(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp39-cp39-manylinux1_x86_64.whl"}):
        b.uv("six")


@saying("no-wheel-platform")
def uv_no_wheel_platform(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp312-cp312-win_amd64.whl"}):
        b.uv("six")


@saying("no-wheel-platform")
def uv_no_wheel_glibc(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp312-cp312-manylinux_2_99_x86_64.whl"}):
        b.uv("six", how="the only wheel wants glibc 2.99")


@saying("no-wheel-platform")
def uv_no_wheel_musl(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp312-cp312-musllinux_1_2_x86_64.whl"}):
        b.uv("six")


@saying("no-wheel-platform")
def uv_no_wheel_macos(b: Bench) -> None:
    wheel = b.wheel()
    with b.index(wheel, names={wheel.name: "six-1.0-cp312-cp312-macosx_14_0_arm64.whl"}):
        b.uv("six", "--python-platform", "x86_64-apple-darwin")


@saying("wrong-python")
def uv_requires_python(b: Bench) -> None:
    wheel = b.wheel()
    page = f'<html><body><a data-requires-python="&gt;=3.14" href="/files/{wheel.name}">{wheel.name}</a></body></html>'
    with serve({"/simple/six/": page.encode(), f"/files/{wheel.name}": wheel.read_bytes()}) as b.host:
        b.uv("six")


@saying("conflict")
def uv_conflict(b: Bench) -> None:
    wheels = [
        b.wheel("torch", "2.5.1"),
        b.wheel("torch", "2.6.0"),
        b.wheel("xformers", "0.0.29", requires=("torch==2.6.0",)),
    ]
    with b.index(*wheels):
        b.uv("torch==2.5.1", "xformers")


@saying("no-project")
def uv_no_project(b: Bench) -> None:
    with b.index(b.wheel()):
        b.uv("nosuchthing")


@saying("offline-missing")
def uv_offline(b: Bench) -> None:
    b.uv("six", "--offline", index=DEAD)


@saying("only-source")
def uv_only_binary(b: Bench) -> None:
    sdist = b.sdist("six", "")
    with b.index(sdist):
        b.uv("six", "--only-binary", ":all:")


@saying("bad-requirement")
def uv_bad_requirement(b: Bench) -> None:
    b.uv("six=>1", index=DEAD)


@saying("bad-requirement")
def uv_bad_requirement_file(b: Bench) -> None:
    (b.folder / "lock.txt").write_text("six==1.0\n<<<<<<< HEAD\n")
    b.uv("-r", "lock.txt", index=DEAD)


@saying("build-failed")
def uv_build_raises(b: Bench) -> None:
    words = with_setuptools(b)
    with b.index(b.sdist("spam", "raise SystemExit('nvcc is needed')")):
        b.uv("spam", *words)


@saying("no-compiler")
def uv_no_compiler(b: Bench) -> None:
    words = with_setuptools(b)
    with b.index(b.sdist("spam", SETUP_C)):
        b.uv("spam", *words, CC="/nonexistent/gcc")


@saying("no-compiler")
def uv_compiler_fails(b: Bench) -> None:
    words = with_setuptools(b)
    with b.index(b.sdist("spam", SETUP_C)):
        b.uv("spam", *words, how="a C file with an error")


@saying("build-tools")
def uv_build_needs_setuptools(b: Bench) -> None:
    with b.index(b.sdist("spam", SETUP_C, requires='"setuptools"')):
        b.uv("spam", how="the index has no setuptools")


@saying("build-tools")
def uv_build_no_setuptools(b: Bench) -> None:
    with b.index(b.sdist("spam", SETUP_C)):
        b.uv("spam", "--no-build-isolation", how="an environment without setuptools")


@saying("no-pkg-resources")
def uv_build_no_pkg_resources(b: Bench) -> None:
    words = with_setuptools(b)
    with b.index(b.sdist("spam", "import pkg_resources\n")):
        b.uv("spam", *words, how="setuptools 84, which has none any more")
