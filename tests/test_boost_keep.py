"""How much is kept: the choice, and how it follows the card (a card of numbers at the edge; no torch here)."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STORY = """
import json, sys
sys.path.insert(0, {root!r})
from types import SimpleNamespace
from launcher.shim.boosts.keep import FULL, LEARNING, LOOK_EVERY, MIB, RESERVE_MIB, Keeper, choose


class Card:  # the driver, which cannot be here
    def __init__(self):
        self.free, self.given_back, self.tries = (RESERVE_MIB + 100) * MIB, 0, 0

    def spare(self):
        return self.free

    def retries(self):
        return self.tries

    def give_back(self):
        self.given_back += 1


def step(keeper, rows=1024, width=512, blocks=4):
    x = SimpleNamespace(shape=(1, rows, width), numel=lambda: rows * width, element_size=lambda: 2)
    return [keeper.level(SimpleNamespace(place=place), x) for place in range(blocks)]


out = dict(choice={{budget: choose(dict.fromkeys(range(3), 10), budget) for budget in (0, 89, 90, 270, 349, 350, 1000)}})
card = Card()
keeper = Keeper(card)
out["first"] = [step(keeper) for _ in range(LEARNING)]
out["then"] = step(keeper), keeper.kept_mib
out["other shape"] = [step(keeper, rows=512) for _ in range(2)]
card.tries += 1
out["one retry"] = step(keeper)
for _ in range(FULL):
    card.tries += 1
    after = step(keeper)
out["full"] = after, keeper.kept_mib, card.given_back
card.free = 0
for _ in range(LOOK_EVERY):
    after = step(keeper)
out["short"] = after, card.given_back
keeper._budget = 0
out["lowered"] = keeper.lower(), keeper.lower(), step(keeper)
card = Card()
keeper = Keeper(card, accumulation=3)
out["accumulated"] = [step(keeper) for _ in range(7)]
card.free = (RESERVE_MIB + 50) * MIB
out["larger"] = step(keeper, rows=2048), card.given_back, step(keeper), keeper.kept_mib, step(keeper, rows=2048), card.given_back
fixed = Keeper(card, fixed_mib=1 << 20)
out["fixed"] = [step(fixed) for _ in range(2)]
print(json.dumps(out))
"""


@pytest.mark.training
def test_what_is_kept_follows_the_memory(training_python):
    code = STORY.format(root=str(ROOT))
    done = subprocess.run(
        [str(training_python), "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]

    found = json.loads(done.stdout.splitlines()[-1])
    assert found["choice"] == {
        "0": {}, "89": {}, "90": {"0": 1}, "270": {"0": 1, "1": 1, "2": 1}, "349": {"0": 1, "1": 1, "2": 1},
        "350": {"0": 2, "1": 1, "2": 1}, "1000": {"0": 2, "1": 2, "2": 2},
    }  # fmt: skip
    assert found["first"] == [[0] * 4] * 2
    assert found["then"] == [[2] * 4, 68.0]  # 4 blocks x 17 values x 1024 x 512 x 2 bytes; 100 MiB were spare
    assert found["other shape"] == [[0] * 4, [2] * 4]  # what it costs is known after its first step
    assert found["one retry"] == [2] * 4  # sampling images does that
    assert found["full"] == [[2, 1, 1, 1], 44.0, 1]
    assert found["short"] == [[1, 1, 0, 0], 2]
    assert found["lowered"] == [True, False, [0] * 4]
    assert found["accumulated"] == [[0] * 4] * 6 + [
        [2] * 4
    ]  # the optimizer's memory comes with its first step
    assert found["larger"] == [[0] * 4, 1, [2, 1, 1, 1], 44.0, [1, 1, 0, 0], 1]  # of 50 MiB that it leaves
    assert found["fixed"] == [[0] * 4, [2] * 4]
