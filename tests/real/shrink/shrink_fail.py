"""Ends the process as a power cut does (SIGKILL): REAL_KILL says where, `{rank}`-less, in the process of rank REAL_KILL_RANK (0).

REAL_KILL=step:7            after the 7th optimizer step (absolute), behind the trainer's save of it
REAL_KILL=write:3           before the 3rd act of writing (see ACTS)
REAL_KILL=write:3:half      in it: the file that it writes is left half written
REAL_KILL=write:3:after     behind it
REAL_WRITES=FILE            notes each act of writing, so that a test knows how many there are and which
REAL_KILL=batch:5           behind the 5th micro-batch of this process
REAL_PAUSE_AT=7:FILE        writes FILE (the request to pause) behind the 7th step: the shim reads it at the 8th
"""

import os
import signal
from pathlib import Path

from shrink_record import loop

COUNTS = {"write": 0, "batch": 0}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def spec():
    if os.environ.get("RANK", "0") != os.environ.get("REAL_KILL_RANK", "0"):
        return None
    words = os.environ.get("REAL_KILL", "").split(":")
    return words if len(words) > 1 else None


def act(name, target, call):
    """One act of writing: noted, perhaps the last."""
    notes = os.environ.get("REAL_WRITES")
    words = spec()
    if not notes and not (words and words[0] == "write"):
        return call()
    COUNTS["write"] += 1
    if notes:
        with Path(notes).open("a", encoding="utf-8") as stream:
            stream.write(f"{COUNTS['write']}\t{name}\t{target}\n")
    if not words or words[0] != "write" or int(words[1]) != COUNTS["write"]:
        return call()
    how = words[2] if len(words) > 2 else "before"
    if how == "before":
        die()
    result = call()
    if how == "half" and isinstance(target, (str, os.PathLike)) and Path(target).is_file():
        os.truncate(target, Path(target).stat().st_size // 2)
    die()
    return result


def torch(module):
    save = module.save

    def saved(obj, f, *rest, **more):
        return act("torch.save", f, lambda: save(obj, f, *rest, **more))

    module.save = saved


def safetensors(module):
    save_file = module.save_file

    def saved(tensors, filename, *rest, **more):
        return act("save_file", filename, lambda: save_file(tensors, filename, *rest, **more))

    module.save_file = saved


def files():
    for name in ("replace", "rename"):
        call = getattr(os, name)

        def moved(source, target, *rest, _call=call, _name=name, **more):
            return act(_name, target, lambda: _call(source, target, *rest, **more))

        setattr(os, name, moved)


def train_util(module):
    files()
    add = module.LossRecorder.add

    def behind(self, *args, **more):
        add(self, *args, **more)
        variables = loop()
        if "global_step" not in variables:
            return
        COUNTS["batch"] += 1
        ask_for_pause(variables["global_step"])
        words = spec() or [""]
        if (words[0] == "step" and variables["global_step"] >= int(words[1])) or (
            words[0] == "batch" and int(words[1]) <= COUNTS["batch"]
        ):
            die()

    module.LossRecorder.add = behind


def ask_for_pause(step):
    at, _, place = os.environ.get("REAL_PAUSE_AT", "").partition(":")
    if at and step >= int(at) and not Path(place).exists():
        Path(place).write_text(os.environ.get("REAL_PAUSE_WORD", "pause"), encoding="utf-8")


AFTER = {"torch": torch, "safetensors.torch": safetensors, "library.train_util": train_util}
