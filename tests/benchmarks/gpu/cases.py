"""What can be measured: one record for each row of the table, and the rings of rows that take turns."""

from dataclasses import dataclass

STOCK, LAUNCHER = "stock", "launcher"
FORK = "sd-scripts-fp8"
# What a card has, less what CUDA itself takes there (about 770 MiB on an H200, shared/facts/gpu.md; a consumer card
# takes less, its display more).
CAP_GIB = {24: 23.25, 16: 15.25, 12: 11.25, 8: 7.25, 6: 5.25, 4: 3.25}
MEMORY_OFF = (
    "launcher.lean_load=false", "launcher.free_text_encoders=false", "launcher.vae_encode=stock",
    "launcher.vae_decode=stock", "launcher.sample_unet=stock", "launcher.offload_mib=0", "launcher.allocator=stock",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One run. `card_gib` caps torch's allocator as a card of that size would; None: no cap.

    `way`: STOCK starts the trainer's script, unmodified, with the same TOML files; LAUNCHER starts what the plan says.
    `settings` are words as behind `--set`. `is_whole`: STOCK through `accelerate launch`, whose process needs RAM and time
    too; LAUNCHER always as planned, `launcher.launch=accelerate` makes it the long way.
    """

    name: str
    preset: str
    way: str = LAUNCHER
    card_gib: float | None = None
    settings: tuple[str, ...] = ()
    is_sampling: bool = False
    steps: int = 14
    side: int = 1024
    is_whole: bool = False
    trainer: str = "sd-scripts"

    @property
    def cap_mib(self) -> int | None:
        if self.card_gib is None:
            return None
        return round(CAP_GIB.get(int(self.card_gib), self.card_gib) * 1024)


def _case(name, preset, **more):
    return Case(name=name, preset=preset, **more)


CASES = {
    case.name: case
    for case in (
        _case("stock", "style-8gb", way=STOCK),
        _case("shim", "style-8gb", settings=MEMORY_OFF),
        _case("launcher", "style-8gb"),
        _case("stock-8", "style-8gb", way=STOCK, card_gib=8, is_sampling=True),
        _case("style-8gb", "style-8gb", card_gib=8, is_sampling=True),
        _case("style-8gb-te", "style-8gb-te", card_gib=8, is_sampling=True),
        _case("character-8gb", "character-8gb", card_gib=8, is_sampling=True),
        _case("concept-8gb", "concept-8gb", card_gib=8, is_sampling=True),
        _case("quick-768", "quick-768", card_gib=8, is_sampling=True),
        _case("turing-8gb", "turing-8gb", card_gib=8, is_sampling=True),
        _case("sdxl-4gb", "sdxl-4gb", card_gib=4),
        _case("sdxl-6gb", "sdxl-6gb", card_gib=6, is_sampling=True),
        _case("sdxl-12gb", "sdxl-12gb", card_gib=12, is_sampling=True),
        _case("sdxl-16gb", "sdxl-16gb", card_gib=16, is_sampling=True),
        _case("sdxl-24gb", "sdxl-24gb", card_gib=24, is_sampling=True),
        _case("fork-style-8gb", "fork-style-8gb", card_gib=8, is_sampling=True, trainer=FORK),
        _case("fork-stock", "fork-style-8gb", way=STOCK, trainer=FORK),
    )
}
RING = ("stock", "shim", "launcher")


def case_of(word):
    """`NAME`, or `NAME:key=value:...`: a case with `preset=`, `card=`, `way=`, `steps=`, `sample=1`, or a setting."""
    name, *changes = word.split(":")
    known = CASES.get(name) or Case(name=name, preset=name)
    values = {field: getattr(known, field) for field in Case.__slots__}
    for change in changes:
        key, _, value = change.partition("=")
        _change(values, key, value, change)
    values["name"] = word
    return Case(**values)


def _change(values, key, value, change):
    if key == "card":
        values["card_gib"] = float(value) if value else None
    elif key == "sample":
        values["is_sampling"] = value == "1"
    elif key in {"steps", "side"}:
        values[key] = int(value)
    elif key in {"preset", "way", "trainer"}:
        values[key] = value
    elif key == "off":
        values["settings"] = (*values["settings"], *MEMORY_OFF)
    else:
        values["settings"] = (*values["settings"], change)


def short_settings(case, prompts, *, is_small):
    """Settings that make a short run of a preset without changing its memory: length, saves, samples."""
    words = [f"max_train_steps={case.steps}", f"save_every_n_steps={case.steps}", "lr_warmup_steps=0"]
    if case.is_sampling:
        words += [
            f"sample_prompts={prompts.as_posix()}",
            f"sample_every_n_steps={case.steps // 2 + 1}",
        ]
    if is_small:  # fp8 computes on no processor, and the model is a two-hundredth
        words += ["resolution=128,128", "min_bucket_reso=64", "max_bucket_reso=256", "network_dim=4",
                  "fp8_base=false", "mixed_precision=no", "optimizer_type=AdamW"]  # fmt: skip
    return (*words, *case.settings)
