"""Realistic run folders without any training: for tests, screenshots, and for looking at the dashboard.

    python -m tests.fake_runs DIR --steps 1000            a finished run
    python -m tests.fake_runs DIR --steps 1000 --live     appends in real time (--pace 0.2 seconds per step)
    python -m tests.fake_runs DIR --chain                 DIR-1 interrupted and DIR its resumed second part
    python -m tests.fake_runs DIR --no-gpu --status FAILED

Nothing here is measured: the numbers only look like an 8 GB card's.
"""

import argparse
import hashlib
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.events import EventWriter, Status
from launcher.files import write_json
from launcher.paths import RunPaths

NAME = "cyanotype"
PROMPTS = ("a lighthouse above the sea, cyanotype", "portrait of a fox, cyanotype, detailed")
STARTED = 1_790_000_000.0
GPU_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the fake run shall look like: steps `first`..`last` of `steps`."""

    name: str = NAME
    steps: int = 1000
    first: int = 1
    last: int | None = None
    status: Status = Status.SUCCEEDED
    has_gpu: bool = True
    parent: str | None = None
    resumed_by: str | None = None
    started: float = STARTED
    seconds: float = 1.6
    sample_every: int = 200
    save_every: int = 250
    seed: int = 7
    warnings: tuple[str, ...] = ("3 images are smaller than 1024 px and were enlarged",)

    @property
    def until(self) -> int:
        return self.last if self.last is not None else self.steps


def write_run(folder: Path, script: Script | None = None) -> RunPaths:
    """A whole run folder at once."""
    script = script or Script()
    run = prepare(folder, script)
    lines = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events(run, script)]
    run.events.write_bytes("".join(line + "\n" for line in lines).encode())
    end = json.loads(lines[-1])["t"]
    write_gpu(run, script, end)
    write_state(run, script, status=script.status, step=script.until, ended=end)
    return run


def write_chain(folder: Path, script: Script | None = None) -> tuple[RunPaths, ...]:
    """Two runs, oldest first: one that was interrupted after its state at 40 %, and its finished continuation."""
    script = script or Script()
    cut = script.steps * 2 // 5
    first = folder.with_name(folder.name + "-1")
    before = replace(
        script, last=cut + cut // 20, status=Status.INTERRUPTED, resumed_by=folder.name, warnings=()
    )
    after = replace(
        script, first=cut + 1, parent=first.name, started=script.started + script.seconds * cut + 900
    )
    return write_run(first, before), write_run(folder, after)


def prepare(folder: Path, script: Script) -> RunPaths:
    """The folder with its plan, before the first event."""
    run = RunPaths(folder=folder)
    (run.output / "sample").mkdir(parents=True, exist_ok=True)
    run.states.mkdir(exist_ok=True)
    write_json(run.plan, plan(script))
    write_state(run, script, status=Status.RUNNING, step=0)
    run.log.write_text("loading\n", encoding="utf-8")
    return run


def plan(script: Script) -> dict[str, object]:
    options = {
        "network_module": ("networks.lora", "presets/sdxl-fp8.toml:9"),
        "network_dim": (16, "presets/style-8gb.toml:14"),
        "network_alpha": (8, "presets/style-8gb.toml:15"),
        "network_train_unet_only": (True, "presets/style-8gb.toml:17"),
        "learning_rate": (0.0001, "--set learning_rate=1e-4"),
        "lr_scheduler": ("cosine", "presets/sdxl-fp8.toml:22"),
        "optimizer_type": ("AdamW8bit", "presets/sdxl-fp8.toml:20"),
        "max_train_steps": (script.steps, "presets/style-8gb.toml:21"),
        "mixed_precision": ("bf16", "machine: compute capability 8.6 has bfloat16"),
        "fp8_base": (True, "presets/sdxl-fp8.toml:12"),
        "gradient_checkpointing": (True, "presets/sdxl-fp8.toml:13"),
        "cache_latents_to_disk": (True, "presets/sdxl-fp8.toml:15"),
        "seed": (42, "presets/style-8gb.toml:30"),
        "save_every_n_steps": (script.save_every, "user/settings.toml:4"),
    }
    facts: dict[str, tuple[object, str]] = {
        "os": ("Windows 11", "platform"),
        "gpu": ("NVIDIA GeForce RTX 3060 Ti, 8192 MiB", "NVML, driver 566.36"),
        "mixed_precision": ("bf16", "compute capability 8.6 has bfloat16"),
        "ram_mib": (32675, "psutil"),
    }
    if not script.has_gpu:
        facts["gpu"] = (None, "NVML was not found")
    return {
        "v": 1,
        "name": script.name,
        "preset": "style-8gb",
        "preset_sha256": hashlib.sha256(b"preset").hexdigest(),
        "trainer": "rehearsal",
        "trainer_commit": None,
        "script": "launcher/trainers/rehearsal/script.py",
        "trainer_class": "RehearsalTrainer",
        "argv": ["python", "-X", "utf8", "-m", "accelerate.commands.launch", "shim", "--run", "{run}"],
        "env": {"PYTHONUTF8": "1"},
        "cwd": None,
        "train": {name: value for name, (value, _) in options.items()},
        "dataset": {"datasets": [{"subsets": [{"image_dir": "/pictures/cyanotype", "num_repeats": 10}]}]},
        "options": {name: {"value": value, "source": source} for name, (value, source) in options.items()},
        "machine": {name: {"value": value, "reason": reason} for name, (value, reason) in facts.items()},
        "notes": [],
        "total_steps": script.steps,
        "parent": script.parent,
        "resume_state": None,
        "model": "sd_xl_base_1.0.safetensors",
        "data": "/pictures/cyanotype",
    }


def write_state(
    run: RunPaths, script: Script, *, status: Status, step: int, ended: float | None = None
) -> None:
    has_failed = status is Status.FAILED
    error = {"error": "OutOfMemoryError", "message": "CUDA out of memory"} if has_failed else None
    state = {
        "v": 1,
        "name": script.name,
        "preset": "style-8gb",
        "trainer": "rehearsal",
        "status": status.value,
        "created": script.started - 2,
        "ended": ended,
        "supervisor": {"pid": 999_999, "started": script.started},
        "trainer_process": {"pid": 999_998, "started": script.started},
        "exit_code": None if ended is None else int(has_failed),
        "step": step,
        "total_steps": script.steps,
        "last_state": None,
        "last_save": None,
        "error": error,
        "parent": script.parent,
        "resumed_by": script.resumed_by,
    }
    write_json(run.state_json, state)


def events(run: RunPaths, script: Script) -> Iterator[dict[str, object]]:
    """All events in their order, with simulated times; files that they name are written when they are named."""
    clock = script.started

    def event(kind: str, after: float = 0.0, **fields: object) -> dict[str, object]:
        nonlocal clock
        clock += after
        return {"v": 1, "t": round(clock, 3), "type": kind, **fields}

    device = "NVIDIA GeForce RTX 3060 Ti" if script.has_gpu else "cpu"
    start = {"pid": 999_998, "started": script.started, "trainer": "rehearsal", "torch": "2.5.1+cu121"}
    yield event("start", 3.0, **start, device=device, resumed_step=script.first - 1)
    yield event("phase", name="load_models", state="begin")
    yield event("phase", 9.0, name="load_models", state="end", seconds=9.0, peak_ram_mib=8100.0)
    peak = {"peak_vram_mib": 5200.0} if script.has_gpu else {"peak_ram_mib": 2900.0}
    yield event("phase", name="cache_latents", state="begin")
    for done in range(1, 41):
        yield event("progress", 0.4, phase="cache_latents", done=done, total=40)
    yield event("phase", name="cache_latents", state="end", seconds=16.0, **peak)
    yield event("totals", total_steps=script.steps, steps_per_epoch=40, epochs=script.steps // 40, images=40)
    for message in script.warnings:
        yield event("warning", message=message, count=1)
    average = loss_at(1, script)
    for before in range(1, script.first):
        average = average * 0.98 + loss_at(before, script) * 0.02
    for step in range(script.first, script.until + 1):
        loss = loss_at(step, script)
        average = average * 0.98 + loss * 0.02
        pace = script.seconds * random.Random(script.seed * 31 + step).uniform(0.94, 1.08)
        fields = {"epoch": (step - 1) // 40 + 1, "loss": round(loss, 6), "avg_loss": round(average, 6)}
        fields |= {"lr": {"unet": lr_at(step, script.steps)}, "seconds": round(pace, 3)}
        yield event("step", pace, step=step, **fields, **({"vram_mib": 6890.0} if script.has_gpu else {}))
        yield from (event(kind, 0.5, **rest) for kind, rest in _files_of(run, script, step))
    if script.status is Status.FAILED:
        trace = (
            'Traceback (most recent call last):\n  File "train.py", line 812, in train\n    loss.backward()\n'
        )
        words = {"error": "OutOfMemoryError", "message": "CUDA out of memory. Tried to allocate 20.00 MiB"}
        yield event("error", **words, traceback=trace, phase="train_loop", step=script.until)
    if script.status is not Status.INTERRUPTED:
        yield event("end", status=script.status.value, step=script.until, seconds=clock - script.started)


def _files_of(run: RunPaths, script: Script, step: int) -> Iterator[tuple[str, dict[str, object]]]:
    if step % script.sample_every == 0:
        for at, prompt in enumerate(PROMPTS):
            name = f"output/sample/{script.name}_{step:06d}_{at:02d}_42.png"
            paint(run.folder / name, done=step / script.steps, subject=at)
            yield "sample", {"step": step, "path": name, "prompt": prompt}
    is_final = step == script.steps
    if step % script.save_every == 0 or is_final:
        name = f"output/{script.name}{'' if is_final else f'-step{step:08d}'}.safetensors"
        (run.folder / name).write_bytes(hashlib.sha256(str(step).encode()).digest() * 4096)
        yield "save", {"step": step, "path": name, "bytes": 131_072, "final": is_final}
        state = f"states/step{step:08d}"
        yield "state", {"step": step, "epoch": 1, "path": state, "bytes": 240_000_000, "seconds": 1.2}


def loss_at(step: int, script: Script) -> float:
    """Noisy and slowly falling, as the loss of a diffusion model is."""
    noise = random.Random(script.seed * 1_000_003 + step).lognormvariate(0, 0.45)
    return (0.098 + 0.05 * math.exp(-4 * step / script.steps)) * noise


def lr_at(step: int, steps: int) -> float:
    warmup = max(1, steps // 20)
    if step < warmup:
        return 1e-4 * step / warmup
    return 5e-5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def write_gpu(run: RunPaths, script: Script, until: float) -> None:
    samples: list[str] = []
    at = script.started
    while at <= until:
        samples.append(json.dumps(gpu_sample(script, at)))
        at += GPU_EVERY_S
    run.gpu.write_text("".join(line + "\n" for line in samples), encoding="utf-8", newline="\n")


def gpu_sample(script: Script, at: float) -> dict[str, object]:
    dice = random.Random(at)
    since = at - script.started
    gpu = {
        "used_mib": round(1100 + 5900 * min(1.0, since / 25) + dice.uniform(0, 90)),
        "total_mib": 8192,
        "temperature_c": round(43 + 28 * (1 - math.exp(-since / 150)) + dice.uniform(-1, 1)),
        "power_w": round(55 + 135 * min(1.0, since / 30) + dice.uniform(-9, 9), 1),
        "utilisation_pct": round(min(99.0, 10 + since * 3)),
        "throttle": [],
    }
    return {
        "t": round(at, 3),
        "gpus": [gpu] if script.has_gpu else [],
        "ram_mib": round(2100 + 700 * min(1.0, since / 40) + 60 * dice.random()),
        "ram_used_mib": 14_300,
        "ram_total_mib": 32_675,
        "disk_free_mib": 41_800,
    }


def paint(path: Path, *, done: float, subject: int) -> None:
    """A picture that gets clearer from step to step: two motifs in Prussian blue."""
    from PIL import Image, ImageDraw, ImageFilter, ImageOps

    size = 384
    picture = Image.linear_gradient("L").resize((size, size))
    draw = ImageDraw.Draw(picture)
    if subject == 0:
        draw.polygon([(0, 300), (140, 250), (384, 330), (384, 384), (0, 384)], fill=40)
        draw.polygon([(120, 262), (136, 90), (168, 90), (184, 268)], fill=235)
        draw.polygon([(152, 76), (384, 10), (384, 110)], fill=250)
        draw.rectangle([130, 62, 174, 92], fill=30)
    else:
        draw.ellipse([92, 110, 292, 330], fill=215)
        draw.polygon([(100, 170), (92, 40), (180, 120)], fill=200)
        draw.polygon([(284, 170), (292, 40), (204, 120)], fill=200)
        draw.polygon([(150, 230), (234, 230), (192, 330)], fill=30)
        draw.ellipse([138, 180, 166, 208], fill=10)
        draw.ellipse([218, 180, 246, 208], fill=10)
    picture = picture.filter(ImageFilter.GaussianBlur(1 + 22 * (1 - done) ** 2))
    noise = Image.effect_noise((size, size), 60)
    picture = Image.blend(picture, noise, 0.06 + 0.6 * (1 - done) ** 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    ImageOps.colorize(picture, black="#0b2447", mid="#3f7cac", white="#f4f1e6").save(path)


def live(folder: Path, script: Script, pace_s: float) -> None:
    """Append as a real run would: one step in `pace_s` seconds, machine samples every two."""
    script = replace(script, started=time.time(), seconds=pace_s)
    run = prepare(folder, script)
    writer = EventWriter(run.events)
    next_sample = 0.0
    last = script.started
    for event in events(run, script):
        moment = event.pop("t")
        assert isinstance(moment, float)
        time.sleep(max(0.0, moment - last))
        last = moment
        if time.time() >= next_sample:
            next_sample = time.time() + GPU_EVERY_S
            with run.gpu.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(gpu_sample(script, time.time())) + "\n")
        event.pop("v")
        kind = str(event.pop("type"))
        writer.write(kind, **event)
        if kind == "step" and script.until == event["step"]:
            write_state(run, script, status=script.status, step=script.until, ended=time.time())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--name", default=NAME)
    parser.add_argument("--status", type=Status, default=Status.SUCCEEDED)
    parser.add_argument("--no-gpu", action="store_true")
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--pace", type=float, default=0.2)
    words = parser.parse_args()
    every = max(1, words.steps // 5)
    script = Script(
        name=words.name,
        steps=words.steps,
        status=words.status,
        has_gpu=not words.no_gpu,
        sample_every=every,
        save_every=every,
    )
    if words.live:
        live(words.folder, script, words.pace)
    elif words.chain:
        write_chain(words.folder, script)
    else:
        write_run(words.folder, script)
    print(words.folder)


if __name__ == "__main__":
    main()
