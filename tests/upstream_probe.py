"""Runs in a training environment, with the launcher on PYTHONPATH: what torch and numpy must do for the shim.

Says `all is well`, or fails.
"""
# ruff: noqa: NPY002, TRY301  (upstream draws from numpy's global generator; a raise to be caught is what is tested)

import os
import pickle
import random
import sys
from pathlib import Path

import numpy as np
import torch

from launcher.shim.upstream import order, rng
from launcher.shim.upstream.resumed import refuse_pickles


def draw():
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.randn(),
        *torch.randn(3).tolist(),
    ]


def generators_survive_a_file(folder):
    for _ in range(3):  # an odd number: gauss keeps a second value for later
        random.gauss(0, 1)
        np.random.randn()
    rng.save(folder / rng.FILE)
    wanted = [draw(), draw()]
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    rng.restore(folder / rng.FILE)
    assert [draw(), draw()] == wanted


def an_item_has_its_own_chance():
    before = rng.capture()
    with order.own_chance(7, 1, 3):
        first = draw()
    assert all(torch.equal(value, before[name]) for name, value in rng.capture().items())
    draw()
    with order.own_chance(7, 1, 3):
        assert draw() == first
    for other in ((7, 2, 3), (7, 1, 4), (8, 1, 3)):
        with order.own_chance(*other):
            assert draw() != first
    try:
        with order.own_chance(7, 1, 3):
            raise ValueError
    except ValueError:
        pass


def processes_draw_other_noise():
    drawn = []
    for rank, micro in ((0, 5), (1, 5), (0, 6), (0, 5)):
        rng.reseed(7, rank, micro)
        drawn.append(draw())
    assert drawn[0] == drawn[3]
    assert drawn[0] not in drawn[1:3]


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(Path(sys.argv[1]) / "owned"),)


def pickles_are_refused(folder):
    refuse_pickles()
    states = {"random": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    torch.save(states, folder / "states.pkl")
    loaded = torch.load(folder / "states.pkl")  # bare, as accelerate 0.25 calls it
    assert np.array_equal(loaded["numpy"][1], states["numpy"][1])
    torch.save({"weights": Evil()}, folder / "evil.bin")
    try:
        torch.load(folder / "evil.bin")
    except pickle.UnpicklingError:
        assert not (folder / "owned").exists()
    else:
        raise AssertionError("a pickle was carried out")


folder = Path(sys.argv[1])
generators_survive_a_file(folder)
an_item_has_its_own_chance()
processes_draw_other_noise()
pickles_are_refused(folder)
print("all is well")
