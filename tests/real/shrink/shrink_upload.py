"""REAL_UPLOAD=1: a processor stands in for the card, so that the U-Net is cast beside the making of the LoRA.

The log says how many modules a thread has moved before the trainer asked for its type, and what the weights of the U-Net
are at its first call, whoever moved them.
"""

import hashlib
import os

TOLD = []


def is_wanted():
    """Asked each time: a run is a fork of a process that had imported the libraries before."""
    return bool(os.environ.get("REAL_UPLOAD"))


def upload(module):
    if not is_wanted():
        return
    module.load.CARDS = ("cuda", "cpu")
    rest = module.Upload.rest

    def told(self, unet, dtype):
        left = list(rest(self, unet, dtype))
        print(
            f"upload: {len(list(unet.modules())) - len(left)} beside, {len(left)} left, {dtype}", flush=True
        )
        return left

    module.Upload.rest = told


def unet(module):
    forward = module.SdxlUNet2DConditionModel.forward

    def told(self, *args, **more):
        if is_wanted() and not TOLD:
            TOLD.append(digest(self))
            print(f"unet: {TOLD[0]}", flush=True)
        return forward(self, *args, **more)

    module.SdxlUNet2DConditionModel.forward = told


def digest(model):
    import torch

    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


AFTER = {"launcher.shim.memory.upload": upload, "library.sdxl_original_unet": unet}
