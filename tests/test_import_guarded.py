"""Importing the whole corpus starts no program, opens no socket and writes nothing outside of its own folder: asserted by an audit hook."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORPORA = sorted(path for path in (ROOT / "tests" / "import").iterdir() if path.is_dir())


def guarded(folder, *words):
    env = {**os.environ, "LAUNCHER_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-B", "-m", "tests.guarded_run", str(folder), *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda path: path.name)
def test_the_corpus_is_imported_under_guard(tmp_path, corpus):
    done = guarded(tmp_path, "import", str(corpus), "--json", "--yes")
    assert "GUARD" not in done.stderr, done.stderr
    assert done.returncode != 99
    found = json.loads(done.stdout)
    written = [item["preset"] for one in found for item in one.get("trainings", [])]
    assert written
    assert all(Path(path).is_file() and Path(path).is_relative_to(tmp_path) for path in written)


@pytest.mark.parametrize("what", ["import subprocess; subprocess.run(['true'])", "import socket; socket.socket()", "open('/tmp/guarded-escape', 'w')", "import os; os.system('true')"])  # fmt: skip
def test_the_guard_bites(tmp_path, what):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.guarded_run import guard\nguard({str(tmp_path)!r})\n{what}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 99
    assert "GUARD" in done.stderr
