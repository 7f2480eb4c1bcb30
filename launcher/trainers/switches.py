"""What the launcher can do inside a training process, each a switch: data, read by presets, plan and shim alike.

In a preset they stand in `[launcher]`, on the command line as `--set launcher.lean_load=false`, in a plan among the
options as `launcher.lean_load`; the shim gets them as `--switch lean_load=false`. What is on by default does not
change what is learned; each module of the shim that obeys one says how that was shown.
"""

from __future__ import annotations

from launcher.trainers.options import Option

PREFIX = "launcher."  # how the switches are called among a plan's options


def _switch(name: str, kind: str, default: object, choices: tuple[str, ...] | None = None) -> Option:
    return Option(name=name, type=kind, default=default, choices=choices, many=False)


SWITCHES = {
    option.name: option
    for option in (
        _switch("exact_resume", "flag", True),  # noqa: FBT003  (absolute steps, data order from seed and epoch)
        _switch("state_every_minutes", "float", 15.0),  # a state by the clock too; 0: only with the saves
        _switch("keep_states", "int", 3),  # the newest ones; a state is removed only after a newer one verified
        _switch("states_budget_gib", "float", 0.0),  # keep fewer when they take more disk than this; 0: no budget
        _switch("cache_images", "str", "folder", ("folder", "beside")),  # latents: our cache folder, or beside images
        _switch("lean_load", "flag", True),  # noqa: FBT003  (weights straight to the stored type, no fp32 copies)
        _switch("free_text_encoders", "flag", True),  # noqa: FBT003  (once their outputs are cached)
        _switch("vae_encode", "str", "rows", ("rows", "stock")),  # rows: strip by strip, the same numbers, less memory
        _switch("vae_decode", "str", "rows", ("rows", "stock")),  # the same for sample images
        _switch("sample_unet", "str", "autocast", ("autocast", "stock")),  # autocast: the fp8 weights stay as they are
        _switch("offload_mib", "int", 0),  # frozen U-Net weights kept in RAM and brought to the card when needed
        _switch("allocator", "str", "expandable", ("expandable", "stock")),  # of torch; where the system has it
    )
}
