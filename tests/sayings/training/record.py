"""Provokes real failures of the real `sdxl_train_network.py` on a CPU and writes what it says into this folder.

    VENV/bin/python tests/sayings/training/record.py CODE PIN TOKENIZERS [--tiny FILE] [--only PART ...]

VENV is the trainer's own environment, CODE its checkout, PIN the beginning of the files' names. The libraries are imported
once; each recording is a fork that runs the script's own main. `--tiny` (a checkpoint from tests/real/material.py, with
tests/real/shrink on PYTHONPATH) allows those that need a loaded model. Linux, as root (it mounts a tmpfs); no network.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOST_LINE, MOST = 1_500, 7_000  # characters kept of a line, and of the end of all
LIMIT_S = 300


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("code", "pin", "tokenizers"):
        parser.add_argument(name)
    parser.add_argument("--tiny", type=Path)
    parser.add_argument("--only", nargs="*", default=[], dest="words", help="parts of names")
    options = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200", "PYTHONUTF8": "1"}
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    sys.path[:0] = [str(HERE), options.code]
    from provocations import PROVOCATIONS, Bench

    script = import_trainer(options)
    for provocation in PROVOCATIONS:
        name = f"{options.pin}-{provocation.name}"
        is_wanted = not options.words or any(word in name for word in options.words)
        if not is_wanted or (provocation.needs_model and not options.tiny):
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            bench = Bench(
                folder=Path(folder), tokenizers=Path(options.tokenizers), tiny=options.tiny, pin=options.pin
            )
            argv = provocation.prepare(bench)
            if argv is None:
                continue
            output, code = run_forked(script, [str(word) for word in argv], bench, provocation)
            for path in bench.mounted:
                subprocess.run(["umount", path], check=False)
            if code == 0 and provocation.expect not in {"none", "no-images"}:
                sys.stderr.write(f"{name}: did not fail\n")
                continue
            how = f"sdxl_train_network.py of {options.pin}: {provocation.prepare.__doc__}"
            head = (
                f"expect: {provocation.expect}\nhow: {how}\ncode: {code}\nphase: {provocation.phase}\n----\n"
            )
            text = head + plain(output, bench, options)
            (HERE / f"{name}.txt").write_text(text, encoding="utf-8")
            sys.stderr.write(f"{name}: {code}\n")


def import_trainer(options):
    os.chdir(options.code)
    import sdxl_train_network

    return sdxl_train_network


def run_forked(script, argv, bench, provocation):
    path = bench.folder / "said.log"
    child = os.fork()
    if child == 0:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        for name, value in provocation.env.items():
            os.environ[name] = value
        if provocation.before is not None:
            provocation.before(script, bench)
        code = 1
        try:
            run_script(script, argv)
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        except BaseException:  # noqa: BLE001  (what Python itself would print)
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(LIMIT_S)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return path.read_text(encoding="utf-8", errors="replace"), os.waitstatus_to_exitcode(status)


def run_script(script, argv):
    """The script's own `if __name__ == "__main__"`."""
    sys.argv = ["sdxl_train_network.py", *argv]
    parser = script.setup_parser()
    args = parser.parse_args()
    util = script.train_util
    if hasattr(util, "verify_command_line_training_args"):
        util.verify_command_line_training_args(args)
    args = util.read_config_from_file(args, parser)
    script.SdxlNetworkTrainer().train(args)


def plain(output, bench, options):
    """Without this machine's paths; lines and the whole cut as they would be read."""
    base = "/home/user/launcher"
    places = {
        str(bench.folder): "/home/user/lora",
        options.code: f"{base}/vendor/{options.pin}/code",
        str(Path(sys.prefix).resolve()): f"{base}/vendor/{options.pin}/venv",
        sys.prefix: f"{base}/vendor/{options.pin}/venv",
        str(Path(sys.base_prefix).resolve()): "/usr",
        options.tokenizers: f"{base}/vendor/tokenizers",
        str(HERE): "/tests",
    }
    for real, shown in sorted(places.items(), key=lambda item: -len(item[0])):
        output = output.replace(real, shown)
    lines = output.replace("\r", "\n").splitlines()
    text = "\n".join(
        line if len(line) <= MOST_LINE else line[:MOST_LINE] + "…" for line in lines if line.strip()
    )
    return (text if len(text) <= MOST else text[-MOST:].partition("\n")[2]) + "\n"


if __name__ == "__main__":
    main()
