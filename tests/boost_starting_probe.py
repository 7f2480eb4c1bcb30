"""Starts boosts as a training does, one of which draws from every generator of the process. Prints whether they stand where they stood."""

import json
import random
import sys
import types
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import boost_scene  # noqa: E402

from launcher.shim.boosts import starting  # noqa: E402
from launcher.shim.boosts.records import Kind  # noqa: E402


def drawn():
    """What each generator would give next, of which some are of the whole process."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  (upstream uses the global one)
    found = [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    return found


def rolls(_scene):
    drawing.append(drawn())
    random.random()
    np.random.rand()  # noqa: NPY002
    torch.nn.Linear(8, 8)  # its weights are random numbers
    drawing.append(drawn())


class Network(boost_scene.Network):
    multiplier = 1.0


drawing = []
boost = types.SimpleNamespace(
    NAME="rolls", KIND=Kind.EXACT, reason_against=lambda _scene: None, check=rolls, install=lambda _scene: int
)
fails = types.SimpleNamespace(**{**vars(boost), "NAME": "fails"}, ABOUT="")
fails.install = lambda scene: rolls(scene) or {}["missing"]
unet, network = boost_scene.make()
scene, told = boost_scene.make_scene(
    unet, network, switches={"boosts": "rounding", "boost_rolls": "on", "boost_fails": "on"}
)
events = []
scene.context.reporter = types.SimpleNamespace(emit=lambda kind, **fields: events.append((kind, fields)))
starting.make_scene = lambda *_: scene
starting._boosts = lambda _: [boost, fails]
before = drawn()
starting._attempt(scene.context, None, types.SimpleNamespace(), types.SimpleNamespace(ops_for=lambda _: None))
print(
    json.dumps(
        {
            "before": before,
            "after": drawn(),
            "within": drawing,
            "told": told,
            "used": [[one["name"], one["used"]] for one in events[0][1]["boosts"]],
        }
    )
)
