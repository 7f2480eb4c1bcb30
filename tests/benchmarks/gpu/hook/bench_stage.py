"""A training's boosts, changed while it runs: the shim's own code puts in place what a row's switches allow.

BENCH_BOOSTS=FILE names a JSON object:

rows       a list of {"name", "switches"}; `switches` as in a preset ({"boosts": "off", "boost_cast": "on"}), above those
           of the run; "triton": false takes torch's operations; "attention" (bench_attention) and "again" concern gradients
turns      a list of [row, is_profiled]: what is measured, in this order (bench_turns)
warmup, steps, profiled    of each turn
gradients  a list of rows (bench_gradients), before the first step
after      {"folder", "size"}: wait for the end of a ring (bench_ring) first

Nothing is learned from such a training: it is there to be timed.
"""

import dataclasses
import importlib
import time
from pathlib import Path

UNWANTED = ("switched off", "all boosts are switched off")  # a row says so itself
POLL_S = 0.05
PATIENCE_S = 400.0
WORDS = ("NAME", "KIND", "reason_against", "check", "install")


class Stage:
    """Stands where the shim puts boosts in place before the first step, and can do so again between two steps."""

    def __init__(self, probe, orders):
        self.probe, self.orders = probe, orders
        self.scene = self.boosts = None
        self.missing = {}
        self.listeners = []  # called with the stage, as soon as there is a scene

    @property
    def tables(self):
        return {"launcher.shim.boosts.starting": self._overhear}

    def _overhear(self, module):
        self._module, self._start = module, module.start
        module.start = self._started
        module._boosts = self._those_there

    def _those_there(self, *_):
        """Boosts that are not written yet, or half, are missing rows, not the end of all others."""
        from launcher.shim.boosts import NAMES

        found = []
        for name, place in NAMES.items():
            try:
                module = importlib.import_module(place)
                missing = [word for word in WORDS if not hasattr(module, word)]
            except Exception as error:  # noqa: BLE001
                missing = [f"{type(error).__name__}: {error}"]
            if missing:
                self.missing[name] = f"not there: {', '.join(missing)}"
            else:
                found.append(module)
        return found

    def _started(self, scene, boosts):
        self.scene, self.boosts = scene, [CheckedOnce(boost) for boost in boosts]
        self._context, self._shared, self._ops = scene.context, dict(scene.shared), scene.ops
        if after := self.orders.get("after"):
            wait_for_ring(Path(after["folder"]), after["size"])
        for listen in self.listeners:
            listen(self)
        return []

    def put(self, row):
        """Take out everything, put in what the row allows. Returns what the shim's event says, and the seconds."""
        began = time.perf_counter()
        scene = self.scene
        self.clear()
        switches = {**self._context.switches, **row.get("switches", {})}
        scene.context = dataclasses.replace(self._context, switches=switches)
        scene.ops = self._ops if row.get("triton", True) else plain_ops()
        outcomes = [one.to_json() for one in self._start(scene, self.boosts)]
        return {
            "used": [one["name"] for one in outcomes if one["used"]],
            "left": self.missing | {one["name"]: one["reason"] for one in outcomes if one["reason"]
                                    and not one["reason"].startswith(UNWANTED)},
            "ops": scene.ops.name, "setup_s": round(time.perf_counter() - began, 3),
        }  # fmt: skip

    def clear(self):
        """The stock operations, everywhere. Last in, first out."""
        for name in reversed(list(self.scene.undo)):
            undo = self.scene.undo.pop(name, None)
            if undo is not None:
                undo()
        self.scene.shared.clear()
        self.scene.shared.update(self._shared)

    def end(self):
        """Leave the training as somebody would who does not want its result."""
        from launcher.events import Status
        from launcher.shim.requests import Leave

        self.clear()
        raise Leave(Status.CANCELLED)

    def failed(self, put):
        """Boosts that were in place and have been turned off since."""
        return [name for name in put["used"] if name not in self.scene.undo]


class CheckedOnce:
    """A boost whose self-check is not made again where the same others are in place: a row comes more than once."""

    def __init__(self, boost):
        self._boost, self._known = boost, {}

    def __getattr__(self, name):
        return getattr(self._boost, name)

    def check(self, scene):
        key = (scene.ops.name, tuple(scene.undo))
        if key not in self._known:
            before = set(scene.shared)
            found = self._boost.check(scene)
            self._known[key] = found, {name: scene.shared[name] for name in set(scene.shared) - before}
        found, left = self._known[key]
        scene.shared.update(left)
        return found


def same(seen, row, put):
    """Name of an earlier row that came to the same (a boost is not there, or cannot be used): measuring one is enough."""
    others = [(key, value) for key, value in row.get("switches", {}).items() if not key.startswith("boost")]
    own = row["name"] if row.get("again") else None
    key = (tuple(put["used"]), put["ops"], row.get("attention"), own, tuple(sorted(others)))
    first = seen.setdefault(key, row["name"])
    return None if first == row["name"] else first


def plain_ops():
    from launcher.shim.boosts.ops import Ops

    return Ops()


def wait_for_ring(folder, size):
    deadline = time.monotonic() + PATIENCE_S
    while not all((folder / f"gone-{place}").exists() for place in range(size)):
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_S)
