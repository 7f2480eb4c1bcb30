"""One record for each run, from what was sampled outside and marked inside; ratios of runs that took turns."""

import statistics
from dataclasses import asdict, dataclass, field

TRAINING = ("first step", "steps", "save")


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """MiB. `allocated` and `reserved`: peaks of torch's allocator; `ram`: anonymous memory of the process tree;
    `card`: what the driver says that the tree holds."""

    name: str
    seconds: float
    allocated: float
    reserved: float
    ram: float
    card: float | None
    retries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    name: str
    preset: str
    way: str
    cap_mib: int | None
    code: int
    seconds: float
    phases: list = field(default_factory=list)
    step_s: list = field(default_factory=list)
    turns: list = field(default_factory=list)  # for each turn of a ring the seconds of its undisturbed steps
    kernels: dict = field(default_factory=dict)
    steps: int = 0
    retries: int = 0
    ooms: int = 0
    mapped: float = 0.0
    warnings: list = field(default_factory=list)
    error: str = ""
    lora: str = ""
    told: list = field(default_factory=list)  # phases as the shim told them
    losses: list = field(default_factory=list)  # of each micro-batch
    applied: dict = field(default_factory=dict)  # boosts as the shim told them: `used`, or why not
    boosts: list = field(default_factory=list)  # turns of rows inside this run (hook/bench_turns)
    gradients: list = field(default_factory=list)  # rows beside a reference (hook/bench_gradients)
    prints: dict = field(default_factory=dict)  # hashes of the LoRA's tensors and of each sample's pixels
    notes: list = field(default_factory=list)

    def peak(self, what, names=None):
        """Highest value of a phase field, over all phases or those named."""
        found = [
            getattr(phase, what)
            for phase in self.phases
            if (names is None or phase.name in names) and getattr(phase, what) is not None
        ]
        return max(found, default=None)

    def peak_phase(self, what):
        found = [phase for phase in self.phases if getattr(phase, what) is not None]
        return max(found, key=lambda phase: getattr(phase, what)).name if found else ""

    def to_json(self):
        return asdict(self)


def read_result(case, watched, marks, **more):
    """The record of one run. Without marks (the training never began) it has only the exit code. `more`: further fields."""
    steps = [mark for mark in marks if mark["kind"] == "step"]
    ends = [mark for mark in marks if mark["kind"] == "phase"]
    kernels = next((mark for mark in marks if mark["kind"] == "kernels"), {})
    return Result(
        name=case.name, preset=case.preset, way=case.way, cap_mib=case.cap_mib, code=watched.code,
        seconds=watched.seconds, phases=phases_of(marks, watched.samples),
        step_s=[mark["seconds"] for mark in steps if mark["clean"]], turns=turns_of(marks),
        kernels={key: value for key, value in kernels.items() if key not in {"t", "kind"}},
        steps=max((mark["step"] for mark in steps), default=0),
        retries=max((mark.get("retries", 0) for mark in ends), default=0),
        ooms=max((mark.get("ooms", 0) for mark in ends), default=0),
        mapped=round(max((sample.mapped for sample in watched.samples), default=0.0)),
        losses=[mark["loss"] for mark in marks if mark["kind"] == "loss"],
        boosts=[mark for mark in marks if mark["kind"] == "boosts"],
        gradients=[mark for mark in marks if mark["kind"] == "gradients"],
        **more,
    )  # fmt: skip


def applied(events):
    """Boosts by name, from a run's events."""
    told = [one for event in events if event["type"] == "boosts" for one in event["boosts"]]
    return {one["name"]: "used" if one["used"] else one["reason"] for one in told}


def phases_of(marks, samples):
    """Phases by name in the order of their first begin; one that comes again is the same phase."""
    found, began, retries = {}, next((mark["t"] for mark in marks), 0.0), 0
    for mark in marks:
        if mark["kind"] != "phase":
            continue
        inside = [sample for sample in samples if began <= sample.t <= mark["t"]]
        gained = mark.get("retries", 0) - retries
        piece = {
            "seconds": mark["t"] - began, "allocated": mark["allocated"], "reserved": mark["reserved"],
            "ram": max((sample.anonymous for sample in inside), default=0.0),
            "card": max((sample.card for sample in inside if sample.card is not None), default=None),
            "retries": gained,
        }  # fmt: skip
        found[mark["name"]] = joined(found.get(mark["name"]), piece)
        began, retries = mark["t"], mark.get("retries", 0)
    return [
        Phase(name=name, **{key: round(value, 1) if isinstance(value, float) else value for key, value in piece.items()})
        for name, piece in found.items()
    ]  # fmt: skip


def joined(known, piece):
    if known is None:
        return piece
    sums = ("seconds", "retries")
    return {
        key: known[key] + value if key in sums else max((v for v in (known[key], value) if v is not None), default=None)
        for key, value in piece.items()
    }  # fmt: skip


def turns_of(marks):
    """Seconds of the undisturbed steps of each turn; empty without a ring."""
    turns = []
    for mark in marks:
        if mark["kind"] == "turn":
            turns.append([])
        elif mark["kind"] == "step" and mark["clean"] and turns:
            turns[-1].append(mark["seconds"])
    return [turn for turn in turns if turn]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """What one run of a ring cost beside another: medians of the turns' ratios, and the card's own time."""

    name: str
    base: str
    wall: float
    low: float  # quartiles of the turns' ratios
    high: float
    turns: int
    kernels: float | None
    launches: float | None


def ratio(result, base):
    """Turn by turn: neighbours in time are compared, so that a slow minute weighs on both."""
    pairs = [
        statistics.median(one) / statistics.median(other)
        for one, other in zip(result.turns, base.turns, strict=False)
    ]
    if len(pairs) < 2:
        return None
    low, wall, high = statistics.quantiles(pairs, n=4)
    return Ratio(
        name=result.name, base=base.name, wall=wall, low=low, high=high, turns=len(pairs),
        kernels=quotient(result.kernels.get("ms"), base.kernels.get("ms")),
        launches=quotient(result.kernels.get("launches"), base.kernels.get("launches")),
    )  # fmt: skip


def quotient(one, other):
    return one / other if one and other else None
