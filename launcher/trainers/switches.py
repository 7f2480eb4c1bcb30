"""What the launcher can do inside a training process and beside it, each a switch: data, read by presets, plan and shim alike.

In a preset they stand in `[launcher]`, on the command line as `--set launcher.lean_load=false`, in a plan among the
options as `launcher.lean_load`; the shim gets them as `--switch lean_load=false`. What is on by default does not
change what is learned; each module of the shim that obeys one says how that was shown. Those of `FOR_THE_GUARD` are
the supervisor's: it reads them from the plan, and the shim does not get them; `launch` is the plan's alone.
"""

from __future__ import annotations

from launcher.trainers.options import Option

AUTO = "auto"
PREFIX = "launcher."  # how the switches are called among a plan's options


def _switch(
    name: str, kind: str, default: object, about: str, choices: tuple[str, ...] | None = None
) -> Option:
    ABOUT[name] = about
    return Option(name=name, type=kind, default=default, choices=choices, many=False)


def _boost(name: str, about: str) -> Option:
    return _switch(f"boost_{name}", "str", AUTO, about, (AUTO, "on", "off"))


ABOUT: dict[str, str] = {}  # what each does, for plans and presets
# Each a module of launcher/shim/boosts; `auto` follows the switch `boosts`.
BOOSTS = {
    "gradients": "no gradients for what nothing trained lies before",
    "cast": "fp8 weights are cast by a vectorised kernel",
    "norms": "norms read and write 16 bits, without a copy in fp32",
    "lora": "a LoRA's scale on its small matrix, its result added by the multiplication itself",
    "convolutions": "residual blocks in one piece, in the layout that tensor cores read",
    "attention": "the fastest attention of this card, measured once",
    "fp8_matmul": "the frozen weights multiplied in fp8 by tensor cores that can",
    "blocks": "transformer blocks in one piece: q, k, v and their LoRAs together, only what is needed recomputed",
    "keep": "spare memory of the card keeps what would be computed again",
    "reduce": "one process alone makes no copies of its gradients to share them",
    "optimizer": "one step of the 8-bit optimizer for all weights that lie together",
    "clip": "one norm of all gradients that lie together",
}
SWITCHES = {
    option.name: option
    for option in (
        _switch("exact_resume", "flag", True, "absolute steps, and a data order that follows from seed and epoch"),
        _switch("state_every_minutes", "float", 15.0, "a state by the clock too; 0: only with the saves"),
        _switch("keep_states", "int", 3, "the newest states of a training, those of the runs that it continues included; one goes only when a newer one is verified"),
        _switch("states_budget_gib", "float", 0.0, "keep fewer states when they take more disk than this; 0: no limit"),
        _switch("stop_on_nan", "int", 10, "stop after so many losses in a row that are no numbers; 0: train on"),
        _switch("cache_images", "str", "folder", "latents and text outputs: in the launcher's folder, or beside the images", ("folder", "beside")),
        _switch("lean_load", "flag", True, "loads the weights straight in the stored type, without copies in fp32"),
        _switch("free_text_encoders", "flag", True, "once their outputs are cached nothing needs them"),
        _switch("vae_encode", "str", "rows", "strip by strip: the same numbers from less memory", ("rows", "stock")),
        _switch("vae_decode", "str", "rows", "the same for sample images", ("rows", "stock")),
        _switch("sample_unet", "str", "autocast", "samples with the fp8 weights as they are, not with a copy in fp16", ("autocast", "stock")),
        _switch("offload_mib", "int", 0, "frozen U-Net weights kept in RAM and brought to the card when needed"),
        _switch("allocator", "str", "expandable", "torch's memory in segments that grow: less is lost in gaps", ("expandable", "stock")),
        _switch("boosts", "str", "rounding", "faster operations for the same training, none or up to this kind: exact (the same bits), rounding (the same mathematics, rounded elsewhere), approximate (other numbers)", ("off", "exact", "rounding", "approximate")),
        *(_boost(name, about) for name, about in BOOSTS.items()),
        _switch("keep_mib", "int", 0, "how much memory of the card may be used to keep what would be computed again; 0: what the first step leaves, less a reserve"),
        _switch("launch", "str", "direct", "one process is started with what accelerate would give it, without accelerate as its parent", ("direct", "accelerate")),
        _switch("hold_above_c", "int", 0, "wait between steps while the card is hotter than this (°C), such as 83; 0: never"),
        _switch("continue_below_c", "int", 0, "after such a wait go on below this (°C), such as 70; 0: ten degrees below hold_above_c"),
        _switch("on_battery", "str", "warn", "a laptop without mains power: warn, hold until it is back, or pause with a state", ("warn", "hold", "pause")),
        _switch("on_low_disk", "str", "pause", "before the disk is too full for the next state: pause with a state, or warn only", ("pause", "warn")),
    )
}  # fmt: skip
FOR_THE_GUARD = frozenset({"hold_above_c", "continue_below_c", "on_battery", "on_low_disk"})

NOT_FOR_THE_SHIM = FOR_THE_GUARD | {"launch"}


def switch_word(name: str, value: object) -> str:
    """`NAME=VALUE` as the shim reads it."""
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"
