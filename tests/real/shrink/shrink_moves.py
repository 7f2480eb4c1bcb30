"""REAL_MOVES=FILE: notes each `to` that changes a VAE's or text encoder's weights: class, type and device, before and after."""

import os
from pathlib import Path

WATCHED = ("AutoencoderKL", "CLIPTextModel", "CLIPTextModelWithProjection")


def state(model):
    weight = next(model.parameters())
    return f"{weight.dtype} {weight.device}".replace("torch.", "")


def torch(module):
    move = module.nn.Module.to

    def to(self, *args, **more):
        place = os.environ.get("REAL_MOVES")
        if not place or type(self).__name__ not in WATCHED:
            return move(self, *args, **more)
        before = state(self)
        result = move(self, *args, **more)
        if state(self) != before:
            with Path(place).open("a", encoding="utf-8") as stream:
                stream.write(f"{type(self).__name__}: {before} -> {state(self)}\n")
        return result

    module.nn.Module.to = to


AFTER = {"torch": torch}
