"""Weights as they lie in the file, until they get the type they will keep.

The trainers load through `set_module_tensor_to_device` without a type, which makes float32 of a half precision file:
10.3 GB for the U-Net, 3.3 GB for the text encoders, all of it thrown away at the cast that follows. Here a module gets
the tensors of the mapped file themselves: no memory of the process is taken, and the later `.to(...)` reads each once.

The result is the same bit for bit: float16, bfloat16 and the float8 types are exactly representable in float32, so a
cast from there and a cast from the file's own type round the same number (tests/test_memory.py tries all of them).
With `full_fp16`/`full_bf16`, where the trainer asks for a type at loading, its rounding is done first, then ours.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from launcher.shim.memory.offload import offload

if TYPE_CHECKING:
    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models
    from launcher.shim.memory.upload import Upload

CARDS = ("cuda",)  # where weights are sent one by one; a test of the whole on a processor says so here
EXACT_IN_FLOAT32 = ("float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2")
# Networks of the trainers that look at sizes of base layers only. Others may compute with the weights when they are
# made (weight-decomposed ones do) or take their type (dylora), and would then see another precision than float32.
LOOKS_AT_SIZES_ONLY = ("networks.lora", "networks.lora_fa")


def install(context: Context) -> None:
    """Load lean where nothing needs the weights in float32 before the cast."""
    reason = obstacle(context.args)
    if reason is not None:
        context.warn(f"The model is loaded the trainer's way, with about 10 GB more RAM: {reason}.")
        return
    module = context.modules["library.sdxl_model_util"]
    original = module.set_module_tensor_to_device

    @functools.wraps(original)
    def set_module_tensor_to_device(
        model: Any, name: str, device: Any, value: Any = None, dtype: Any = None, **more: Any
    ) -> Any:
        if value is not None and dtype is None and _is_exact(value):
            dtype = value.dtype
        elif value is not None and dtype is not None and type(model).__name__ == "SdxlUNet2DConditionModel":
            final = fp8_type(context.args) if value.is_floating_point() else None
            value, dtype = (value, dtype) if final is None else (value.to(dtype), final)
        return original(model, name, device, value=value, dtype=dtype, **more)

    module.set_module_tensor_to_device = set_module_tensor_to_device  # type: ignore[attr-defined]


def place_tensor_by_tensor(offload_mib: int, upload: Upload | None = None) -> Any:
    """A `Moments.place` that casts each weight and sends it to the card, so that the RAM holds one at a time.

    `upload` has perhaps done a part of that already.
    """

    def place(models: Models, dtype: Any) -> None:
        device = models.accelerator.device
        rest = list(models.unet.modules()) if upload is None else upload.rest(models.unet, dtype)
        cast = caster(dtype, device)
        if offload_mib > 0:
            offload(models.unet, dtype, device, offload_mib, cast)
        if device.type in CARDS:
            for module in rest:
                move(module, cast)

    return place


def move(module: Any, cast: Any) -> None:
    """What `Module.to` does, for one module without those in it: its parameters stay the same objects."""
    module._apply(cast, recurse=False)  # noqa: SLF001


def caster(dtype: Any, device: Any) -> Any:
    """A function that brings a weight to a device in a type.

    The card casts in a tenth of a processor's time (float16 to float8: 8 ns a number and core, 2.6 thousand million
    numbers). It does so where it rounds every number of the weight's type as the processor does, which is tried here.
    """
    import torch

    same = [
        kind
        for kind in (torch.float16, torch.bfloat16)
        if device.type == "cuda" and _rounds_alike(kind, dtype, device)
    ]

    def cast(weight: Any) -> Any:
        return weight.to(device).to(dtype) if weight.dtype in same else weight.to(dtype).to(device)

    return cast


def _rounds_alike(kind: Any, dtype: Any, device: Any) -> bool:
    import torch

    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(kind)
    there, here = every.to(device).to(dtype).cpu().float(), every.to(dtype).float()
    return bool(torch.equal(there.nan_to_num(nan=7e9), here.nan_to_num(nan=7e9)))


def obstacle(args: Any) -> str | None:
    """Why weights in the file's own type would not do, or None."""
    if getattr(args, "base_weights", None):
        return "base_weights are merged into it"
    if getattr(args, "deepspeed", False):
        return "deepspeed places the weights itself"
    if args.network_module not in LOOKS_AT_SIZES_ONLY:
        return f"{args.network_module} may compute with its weights or take their type"
    return None


def fp8_type(args: Any) -> Any | None:
    """The type that the U-Net will be stored in, if it is an fp8 one."""
    import torch

    if args.fp8_base or getattr(args, "fp8_base_unet", False):
        return torch.float8_e4m3fn
    return None


def _is_exact(value: Any) -> bool:
    return str(value.dtype).removeprefix("torch.") in EXACT_IN_FLOAT32
