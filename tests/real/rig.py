"""One trainer, ready to run on the CPU: material, a forker, and runs with or without the shim, as records."""

from __future__ import annotations

import itertools
import json
import os
import queue
import struct
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.events import read_events
from launcher.paths import Paths, RunPaths
from launcher.plan.tomlout import write_toml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHIM = ROOT / "launcher" / "shim" / "__main__.py"
SHRINK = HERE / "shrink"
TIMEOUT_S = 240.0
NAME = "it 訓練"

TRAIN = {
    "output_name": NAME, "network_module": "networks.lora", "network_dim": 4, "network_alpha": 2.0, "seed": 7,
    "learning_rate": 0.01, "unet_lr": 0.01, "lr_scheduler": "cosine", "lr_warmup_steps": 2, "optimizer_type": "AdamW",
    "network_train_unet_only": True, "cache_latents": True, "mixed_precision": "no", "save_model_as": "safetensors",
    "max_data_loader_n_workers": 0, "sdpa": True, "save_state": True, "network_dropout": 0.1, "no_half_vae": True,
    "max_train_steps": 12,
}  # fmt: skip
DATASET = {"resolution": 128, "batch_size": 1, "enable_bucket": True, "min_bucket_reso": 64, "max_bucket_reso": 256,
           "bucket_reso_steps": 64}  # fmt: skip
SUBSET = {"caption_extension": ".txt", "num_repeats": 1, "keep_tokens": 1}


@dataclass(frozen=True)
class Ended:
    """One training process that has ended. `output` has LoRA files, `states` has states (of a stock run: in output)."""

    run: RunPaths
    code: int
    shim: bool

    @property
    def log(self):
        return (self.run.folder / "log.txt").read_text(encoding="utf-8", errors="replace")

    def record(self, rank=0):
        """What was trained on, a mapping for each micro-batch (see shrink_record)."""
        path = self.run.folder / f"record-{rank}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def events(self, kind=None):
        return [event for event, _ in read_events(self.run.events) if kind in {None, event["type"]}]

    @property
    def writes(self):
        path = self.run.folder / "writes.tsv"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.split("\t") for line in lines]

    @property
    def files(self):
        return sorted(path.name for path in self.run.output.glob("*.safetensors"))

    def lora(self, name=NAME):
        """Metadata, header without it, and the bytes of all tensors."""
        return read_safetensors(self.run.output / f"{name}.safetensors")

    def weights(self, name=NAME):
        return self.lora(name)[1:]

    def states(self):
        place = self.run.states if self.shim else self.run.output
        return sorted(
            path for path in place.glob("*") if path.is_dir() and "step" in path.name and path.name[0] != "."
        )

    def state(self, step):
        [found] = [path for path in self.states() if f"step{step:08d}" in path.name]
        return found


def read_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    return header.pop("__metadata__", {}), header, raw[8 + length :]


class Rig:
    """Runs of one trainer. `envs` is a folder like `vendor/`: <trainer>/<n>/venv and code."""

    def __init__(self, envs, name, folder, *, code=None, tokenizers=None):
        self.name = name
        self.folder = Path(folder)
        places = Paths(root=Path(envs).parent, home=self.folder, shipped=ROOT)
        self.python = places.trainer_python(name)
        self.code = Path(code) if code else places.trainer_code(name)
        self.accelerate_config = places.accelerate_config(name)
        self.tokenizers = Path(tokenizers or os.environ.get("LAUNCHER_TOKENIZERS") or places.tokenizers)
        self.material = self.folder / "material"
        self._forker = None
        self._answers = {}
        self._numbers = itertools.count()
        if not (self.material / "tiny.safetensors").exists():
            words = [self.python, HERE / "material.py", self.code, self.material]
            subprocess.run(words, env=self.environment(), check=True, capture_output=True, timeout=TIMEOUT_S)

    def environment(self, **more):
        """Of every training process here: nothing of the launcher's own Python, no network, one thread, small classes."""
        names = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
        env = {name: os.environ[name] for name in names if name in os.environ}
        env.update(
            PYTHONPATH=str(SHRINK), PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1", COLUMNS="200",
            HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false",
            XFORMERS_FORCE_DISABLE_TRITON="1", ACCELERATE_USE_CPU="true",
        )  # fmt: skip
        return {**env, **{name: str(value) for name, value in more.items()}}

    def prepare(self, folder, *, train=None, dataset=None, subset=None, data=None):
        """Write train.toml and dataset.toml of a run folder."""
        run = RunPaths(folder=Path(folder))
        run.output.mkdir(parents=True)
        run.states.mkdir(exist_ok=True)
        options = {
            **TRAIN, "pretrained_model_name_or_path": str(self.material / "tiny.safetensors"),
            "output_dir": str(run.output), "tokenizer_cache_dir": str(self.tokenizers), **(train or {}),
        }  # fmt: skip
        options = {key: value for key, value in options.items() if value is not None}
        sets = {**SUBSET, "image_dir": str(data or self.material / "images"), **(subset or {})}
        (run.folder / "train.toml").write_text(write_toml(options, "test"), encoding="utf-8")
        text = write_toml(
            {"general": {}, "datasets": [{**DATASET, **(dataset or {}), "subsets": [sets]}]}, "test"
        )
        (run.folder / "dataset.toml").write_text(text, encoding="utf-8")
        return run

    def argv(self, run, *, shim=True, resume=None, switches=None):
        """The script and its words, as `accelerate launch` or Python would get them."""
        own = [
            "--config_file", run.folder / "train.toml", "--dataset_config", run.folder / "dataset.toml",
        ]  # fmt: skip
        if resume is not None:
            own += ["--resume", resume, *(["--skip_until_initial_step"] if self.has_skip else [])]
        script = self.code / "sdxl_train_network.py"
        if not shim:
            return [str(word) for word in (script, *own)]
        words = [SHIM, "--run", run.folder, "--script", script, "--trainer-class", "SdxlNetworkTrainer"]
        for name, value in (switches or {}).items():
            words += ["--switch", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        return [str(word) for word in (*words, "--", *own)]

    @property
    def has_skip(self):
        """The fork has no such option (the shim takes it for it)."""
        return "skip_until_initial_step" in (self.code / "train_network.py").read_text(encoding="utf-8")

    def extra_env(self, run, **more):
        return {
            "REAL_RECORD": str(run.folder / "record-{rank}.jsonl"), "LAUNCHER_CACHE_DIR": str(self.folder / "cache"),
            **{name: str(value) for name, value in more.items()},
        }  # fmt: skip

    def start(self, folder, *, shim=True, resume=None, switches=None, env=None, **settings):
        """Begin a run in a fork; `wait` gives its end."""
        run = self.prepare(folder, **settings)
        job = {
            "id": next(self._numbers), "argv": self.argv(run, shim=shim, resume=resume, switches=switches),
            "env": self.extra_env(run, **(env or {})), "cwd": str(run.folder), "log": str(run.folder / "log.txt"),
        }  # fmt: skip
        self._answers[job["id"]] = queue.Queue()
        forker = self.forker()
        forker.stdin.write(json.dumps(job) + "\n")
        forker.stdin.flush()
        return SimpleNamespace(id=job["id"], run=run, shim=shim)

    def wait(self, started, timeout_s=TIMEOUT_S):
        code = self._answers[started.id].get(timeout=timeout_s)
        return Ended(run=started.run, code=code, shim=started.shim)

    def train(self, folder, *, code=0, **settings):
        """One whole training process; `code` is the exit code that it must end with (None: any)."""
        ended = self.wait(self.start(folder, **settings))
        assert code is None or ended.code == code, f"code {ended.code}\n{ended.log[-6000:]}"
        return ended

    def launch(
        self, folder, *, processes=1, code=0, shim=True, resume=None, switches=None, env=None, **settings
    ):
        """The same without forks, through `accelerate launch`; several processes talk by gloo."""
        run = self.prepare(folder, **settings)
        many = ["--multi_gpu", "--main_process_port", free_port()] if processes > 1 else ["--cpu"]
        words = [
            self.python, "-m", "accelerate.commands.launch", *many, "--num_processes", processes, "--num_machines", 1,
            "--dynamo_backend", "no", "--mixed_precision", "no", "--num_cpu_threads_per_process", 1,
            *self.argv(run, shim=shim, resume=resume, switches=switches),
        ]  # fmt: skip
        with (run.folder / "log.txt").open("wb") as log:
            finished = subprocess.run(
                [str(word) for word in words], env=self.environment(**self.extra_env(run, **(env or {}))), stdout=log,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, cwd=run.folder, check=False,
            )  # fmt: skip
        ended = Ended(run=run, code=finished.returncode, shim=shim)
        assert code is None or ended.code == code, f"code {ended.code}\n{ended.log[-6000:]}"
        return ended

    def forker(self):
        if self._forker is None:
            with (self.folder / "forker.txt").open("wb") as log:
                self._forker = subprocess.Popen(
                    [str(self.python), str(HERE / "forker.py"), str(self.code)], env=self.environment(), text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8",
                )  # fmt: skip
            self._answers["ready"] = queue.Queue()
            threading.Thread(target=self._listen, daemon=True).start()
            self._answers["ready"].get(timeout=TIMEOUT_S)
        return self._forker

    def _listen(self):
        for line in self._forker.stdout:
            answer = json.loads(line)
            self._answers[answer["id"]].put(answer["code"])

    def close(self):
        if self._forker is not None:
            self._forker.stdin.close()
            self._forker.wait(timeout=30)
            self._forker.stdout.close()


def free_port():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextmanager
def opened(trainer, folder):
    """A rig that closes itself; without the environments the test skips, saying so."""
    place = os.environ.get("LAUNCHER_REAL_ENVS")
    if not place:
        pytest.skip("LAUNCHER_REAL_ENVS names no folder with the real trainers' environments")
    rig = Rig(Path(place), trainer, folder)
    try:
        yield rig
    finally:
        rig.close()
