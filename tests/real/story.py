"""A training told in several processes, and the comparison with one that was never interrupted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from launcher.states import clear_leftovers, list_states, verify_state

MAX_PARTS = 12


@dataclass
class Story:
    """The parts of one training, oldest first; each but the first was resumed from `starts` (None: from nothing)."""

    parts: list = field(default_factory=list)
    starts: list = field(default_factory=list)

    @property
    def last(self):
        return self.parts[-1]

    def record(self, rank=0):
        """Each micro-batch of the training that led to the end: what a later part did again is told by that part."""
        told = []
        for part, start in zip(self.parts, self.starts, strict=True):
            told = [line for line in told if line["step"] <= (start or 0)] + part.record(rank)
        return told

    def files(self):
        """LoRA files of all parts by name; of two with one name the younger part's."""
        return {path.name: path for part in self.parts for path in part.run.output.glob("*.safetensors")}

    def find_state(self):
        """The newest state that can be trusted, as the launcher finds it: by step, of two the younger run's."""
        for part in self.parts:
            for place in (part.run.states, part.run.output):
                clear_leftovers(place)
        states = [state for part in reversed(self.parts) for state in list_states(part.run)]
        for state in sorted(states, key=lambda path: path.name, reverse=True):
            if verify_state(state) is None:
                return state
        return None


def live(rig, folder, *, parts=(), resume=None, **settings):
    """Train until it is done: the n-th process gets the environment `parts[n]` (kills, pauses), later ones none."""
    story = Story()
    start = resume
    for number in range(MAX_PARTS):
        env = parts[number] if number < len(parts) else {}
        run = folder / f"part{number}"
        env = {key: str(value).replace("{run}", str(run)) for key, value in env.items()}
        part = rig.train(run, resume=start, env=env, code=None, **settings)
        story.parts.append(part)
        story.starts.append(_step(start))
        if part.code not in {0, -9}:
            raise AssertionError(f"part {number} ended with {part.code}\n{part.log[-6000:]}")
        if part.code == 0 and part.events("end")[-1]["status"] == "SUCCEEDED":
            return story
        start = story.find_state()
    raise AssertionError(f"not done after {MAX_PARTS} parts")


def _step(state):
    return (
        json.loads((state / "train_state.json").read_text(encoding="utf-8"))["current_step"]
        if state
        else None
    )


WHAT = (
    "epoch",
    "step",
    "images",
    "captions",
    "latents",
    "pixels",
    "noise",
    "t",
    "x",
    "context",
    "y",
    "lr",
    "loss",
)


def difference(left, right, what=WHAT):
    """The first thing in which two records differ, in words; None when there is none."""
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        for key in what:
            if one[key] != other[key]:
                return f"micro-batch {number} (step {one['step']}): {key} is {one[key]}, not {other[key]}"
    return None if len(left) == len(right) else f"{len(left)} micro-batches, not {len(right)}"


# What differs between two runs of one training by its nature: time of day, a random name, folders.
PERSONAL = ("ss_training_started_at", "ss_training_finished_at", "ss_session_id", "modelspec.date", "sshs_model_hash",
            "sshs_legacy_hash", "ss_output_name")  # fmt: skip


def assert_same(story, control, *, what=WHAT, ranks=1):
    """A story's end, and all files on the way, equal the control's (a story or a single run as one)."""
    from tests.real.rig import read_safetensors

    for rank in range(ranks):
        problem = difference(story.record(rank), control.record(rank), what)
        assert problem is None, f"rank {rank}: {problem} (starts {story.starts})"
    mine, theirs = story.files(), control.files()
    assert sorted(mine) == sorted(theirs)
    for name, path in mine.items():
        one, other = read_safetensors(path), read_safetensors(theirs[name])
        assert one[1:] == other[1:], f"{name} has other weights (starts {story.starts})"
        for key in {*one[0], *other[0]} - {*PERSONAL}:
            assert one[0].get(key) == other[0].get(key), f"{name}: {key}"
    lasts = [list_states(story.last.run)[:1], list_states(control.last.run)[:1]]
    if all(lasts):
        said = [(state.name, json.loads((state / "train_state.json").read_text())) for [state] in lasts]
        assert said[0] == said[1]
