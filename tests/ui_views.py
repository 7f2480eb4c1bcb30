"""Made-up runs for the tests of the screens and for the pictures of the README. Nothing here is measured."""

import math
import random
from dataclasses import replace
from types import SimpleNamespace

from launcher.events import Status
from launcher.monitor import Alert, Failure, RunView, Sample, Save, Span, State, Warn

NOW = 1_790_001_200.0
HOSTILE = "[red]x[/red] \x1b[2J\x07\r\n\u202e訓練データ" + "長" * 60
MACHINE = "NVIDIA GeForce RTX 3060 Ti · 8 GB · driver 566.36"


def curve(steps, seed=7):
    """(step, loss, average): noisy and slowly falling, as the loss of a diffusion model is."""
    dice, average, points = random.Random(seed), None, []
    for step in range(1, steps + 1):
        value = (0.098 + 0.05 * math.exp(-5 * step / steps)) * dice.lognormvariate(0, 0.35)
        average = value if average is None else average * 0.97 + value * 0.03
        points.append((step, value, average))
    return tuple(points)


def running():
    """In the middle of a training on an 8 GB card."""
    losses = curve(620)
    return RunView(
        name="cyanotype", preset="style-8gb", trainer="sd-scripts", device="NVIDIA GeForce RTX 3060 Ti",
        status=Status.RUNNING, phase="train_loop", step=620, total_steps=1000, epoch=16, epochs=25,
        loss=losses[-1][1], avg_loss=losses[-1][2], lr={"unet": 3.45e-5}, seconds_per_step=1.61, eta_s=612.0,
        losses=losses, lrs=tuple((s, 5e-5 * (1 + math.cos(math.pi * s / 1000)) * min(1, s / 50)) for s, _, _ in losses),
        vram_used_mib=7070, vram_total_mib=8192, vram_peak_mib=6890, temperature_c=71, power_w=191, utilisation_pct=99,
        ram_mib=2867, ram_used_mib=14300, ram_total_mib=32675, disk_free_mib=41800,
        last_save=Save(step=600, path="output/cyanotype-step00000600.safetensors", bytes=9, is_final=False, time=NOW - 40),
        last_state=State(step=600, path="states/step00000600", bytes=9, time=NOW - 40),
        last_sample=Sample(step=600, path="output/sample/cyanotype_000600_01_42.png", prompt="a fox"),
        warnings=(Warn(message="3 images are smaller than 1024 px and were enlarged", count=1, time=NOW - 900),),
        started=NOW - 1040, updated=NOW - 1,
    )  # fmt: skip


def caching():
    empty = {"losses": (), "lrs": (), "lr": {}, "warnings": ()}
    nothing = dict.fromkeys(
        ("loss", "avg_loss", "epoch", "seconds_per_step", "eta_s", "last_save", "last_state", "last_sample")
    )
    loaded = Span(name="load_models", seconds=9.0, peak_vram_mib=None, peak_ram_mib=8100.0)
    return replace(
        running(), phase="cache_latents", phase_progress=(12, 40), step=0, spans=(loaded,), **empty, **nothing
    )


def held():
    """A card that has to cool down, on a disk that gets full."""
    heat = "The card is at 85 °C, above 83 °C. Training waits between two steps until it is down to 70 °C."
    disk = "The disk is filling up: 3.1 GiB are free, at this pace there is too little room in 40 min, at about 03:40."
    more = "It goes on by itself. More air, less dust or a lower power limit make such waits rare."
    return replace(
        running(), temperature_c=78, utilisation_pct=0, disk_free_mib=3170, held_for="too-hot", held_since=NOW - 95, held_s=300.0,
        alerts=(
            Alert(kind="too-hot", message=heat, fix=more, act="hold", step=300, began=NOW - 800, ended=NOW - 500),
            Alert(kind="disk-filling", message=disk, fix="Look what is being written there, and make room.", act="", step=610, began=NOW - 120),
            Alert(kind="too-hot", message=heat, fix=more, act="hold", step=620, began=NOW - 97),
        ),
    )  # fmt: skip


def paused_by_the_guard():
    what = "The disk is nearly full: 1.1 GiB are free, the next state and LoRA need 1.4 GiB. Training pauses with a state while there is room for one."
    alert = Alert(kind="disk-full", message=what, fix="Make room, then resume.", act="pause", step=619, began=NOW - 8)  # fmt: skip
    return replace(ended(Status.PAUSED), alerts=(alert,))


def failed():
    message = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 0 bytes is free."
    error = Failure(error="OutOfMemoryError", message=message, step=620)
    return replace(running(), status=Status.FAILED, phase="", eta_s=None, error=error, ended=NOW - 1)


def ended(status):
    return replace(running(), status=status, phase="", eta_s=None, ended=NOW - 1)


def without_gpu():
    card = dict.fromkeys(
        ("vram_used_mib", "vram_total_mib", "vram_peak_mib", "temperature_c", "power_w", "utilisation_pct")
    )
    return replace(running(), device="cpu", **card)


def hostile():
    bad = Warn(message=HOSTILE, count=3, time=NOW)
    save = Save(step=600, path=f"output/{HOSTILE}", bytes=None, is_final=False, time=NOW)
    texts = dict.fromkeys(("name", "preset", "trainer", "device", "throttle"), HOSTILE)
    return replace(running(), warnings=(bad,) * 5, last_save=save, lr={HOSTILE: 1.0, "b": 2.0}, **texts)


def record(name, status, *, ago, step, total, took=600.0, resumed_by=None):
    """What history says of a run, as far as the screens use it."""
    created = NOW - ago
    ended_at = None if status.is_live else created + took
    return SimpleNamespace(
        id=f"20260921-{int(created) % 1000000:06d}-{name}", name=name, preset="style-8gb", trainer="sd-scripts", status=status,
        created=created, ended=ended_at, step=step, total_steps=total, last_state="states/x", error=None, parent=None,
        resumed_by=resumed_by, reason=None, folder=None,
    )  # fmt: skip


def records():
    paused = record("aki-style", Status.PAUSED, ago=60_000, step=620, total=1000, took=1040)
    return [
        record("cyanotype", Status.RUNNING, ago=1040, step=620, total=1000),
        paused,
        record("訓練 データ", Status.INTERRUPTED, ago=150_000, step=140, total=2000, took=4000),
        record("demo", Status.SUCCEEDED, ago=300_000, step=40, total=40, took=75),
        record("fox [red]x[/red]", Status.FAILED, ago=390_000, step=8, total=400, took=31),
        record(
            "aki-style", Status.INTERRUPTED, ago=490_000, step=400, total=1000, took=700, resumed_by=paused.id
        ),
    ]
