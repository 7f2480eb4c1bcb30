"""Imports a trainer's libraries once, then forks for each run: a run costs its steps, not a quarter of a minute.

CODE's venv python forker.py CODE   (with shrink/ on PYTHONPATH)

Reads one JSON object a line: {"id", "argv": [SCRIPT, ...], "env": {...}, "cwd", "log"}; answers with one line each,
{"id", "code"} (negative: the signal that ended it), as soon as that run has ended; several may run at once.
The trainer's own scripts are not imported before the fork: whoever wants to change them at import still can.
"""

import importlib
import json
import os
import runpy
import sys
import threading
from pathlib import Path

# The shim recognises and edits train_network itself, so that is left to the child.
LIBRARIES = (
    "torch", "torch._dynamo", "diffusers", "transformers", "accelerate", "library.train_util", "library.config_util",
    "library.sdxl_train_util", "library.sdxl_model_util", "library.sdxl_lpw_stable_diffusion",
    "library.custom_train_functions", "library.huggingface_util", "library.model_util", "library.deepspeed_utils",
    "library.strategy_sd", "library.strategy_sdxl", "library.strategy_base", "library.sai_model_spec",
    "library.sdxl_original_unet", "library.lpw_stable_diffusion", "library.original_unet", "networks.lora",
    "diffusers.models.autoencoders.autoencoder_kl", "PIL.Image", "cv2", "toml", "voluptuous",
)  # fmt: skip
WARM = ("diffusers:AutoencoderKL", "diffusers:DDPMScheduler", "transformers:CLIPTextModelWithProjection",
        "transformers:CLIPTokenizer", "accelerate:Accelerator")  # fmt: skip


def warm(code):
    sys.path.insert(0, code)
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:  # not every pin has every one
            continue
    for word in WARM:
        name, _, attribute = word.partition(":")
        getattr(importlib.import_module(name), attribute)
    sys.path.remove(code)  # the child's script puts it there, as without us


def child(job):
    """Never returns: ends as a process of its own would."""
    code = 1
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setsid()
        for name, value in job["env"].items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        os.chdir(job["cwd"])
        sys.argv = list(job["argv"])
        sys.path.insert(0, str(Path(sys.argv[0]).parent))
        code = ended(lambda: runpy.run_path(sys.argv[0], run_name="__main__"))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(call):
    """The exit code that Python would give."""
    import traceback

    try:
        call()
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            return (leave.code or 0) & 0xFF
        print(leave.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001  (as the interpreter would)
        traceback.print_exc()
        return 1
    return 0


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print belongs to the log
    warm(sys.argv[1])
    lock = threading.Lock()

    def answer(**fields):
        with lock:
            answers.write(json.dumps(fields) + "\n")
            answers.flush()

    answer(id="ready", code=0)

    def wait(job, pid):
        _, status = os.waitpid(pid, 0)
        answer(id=job["id"], code=os.waitstatus_to_exitcode(status), pid=pid)

    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(job)
        threading.Thread(target=wait, args=(job, pid), daemon=True).start()


if __name__ == "__main__":
    main()
