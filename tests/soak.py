"""Kill training, launcher or both at random moments, resume until it is finished, compare with an undisturbed control.

python tests/soak.py --count 100 [--seed 7] [--steps 8]

Each round is one whole training of the rehearsal with up to three kills, each while caching, stepping or saving.
It proves that the final weights are bit for bit those of the control, and that everything that was ever reported
as saved is there and whole (states: the newest ones of the training, as many as are kept).
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from launcher import states  # noqa: E402  (needs the path)
from launcher.events import Status, read_events  # noqa: E402
from launcher.history import chain, load_run, read_state  # noqa: E402
from launcher.machine import look_at_machine  # noqa: E402
from launcher.paths import Paths, RunPaths  # noqa: E402
from launcher.plan import Request, resolve  # noqa: E402
from launcher.process import ProcessId, find_by_arguments, wait_until  # noqa: E402
from launcher.resume import resume_run  # noqa: E402
from launcher.run import create_run, start_run, training_processes  # noqa: E402

MOMENTS = ("caching", "stepping", "saving", "any")
VICTIMS = ("trainer", "launcher", "both")
END_TIMEOUT_S = 300.0
NAME = "soak 訓練"


@dataclass
class Tally:
    rounds: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    resumes: int = 0
    states: int = 0
    saves: int = 0
    problems: list[str] = field(default_factory=list)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the kills; printed, so that a round can be repeated"
    )
    parser.add_argument("--steps", type=int, default=8, help="steps of one training (default: %(default)s)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    tally = Tally()
    print(f"soak: {options.count} rounds of {options.steps} steps, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak ") as folder:
        control = weights(undisturbed(Path(folder) / "control", options.steps))
        for number in range(1, options.count + 1):
            began = time.monotonic()
            soak_round(Path(folder) / f"round {number}", options.steps, control, chance, tally)
            seconds = time.monotonic() - began
            print(f"round {number}: {seconds:.0f} s, kills {tally.kills}, resumes {tally.resumes}, states {tally.states}, "
                  f"saves {tally.saves}, problems {len(tally.problems)}", flush=True)  # fmt: skip
    for problem in tally.problems:
        print(f"PROBLEM: {problem}")
    return 1 if tally.problems else 0


def home_paths(home):
    """Environments of this checkout, user data of one round: caches are cold, and nothing of another round helps."""
    home.mkdir(parents=True)
    return Paths(root=ROOT, home=home, shipped=ROOT)


def make_plan(paths, steps):
    """Five images are an epoch, two micro-batches a step: kills fall mid-epoch, at its end, and inside a step."""
    words = (
        f"max_train_steps={steps}", "save_every_n_steps=1", "save_every_n_epochs=1", "sample_every_n_steps=1000", "save_state=true",
        "gradient_accumulation_steps=2", "network_dim=4", "resolution=256,256", "min_bucket_reso=128", "max_bucket_reso=512",
        "lr_warmup_steps=2", "train_batch_size=1", "sample_at_first=false",
    )  # fmt: skip
    request = Request(
        preset="demo",
        trainer="rehearsal",
        data=ROOT / "launcher" / "demo" / "images",
        name=NAME,
        settings=words,
    )
    return resolve(paths, request, look_at_machine())


def undisturbed(home, steps):
    paths = home_paths(home)
    run = create_run(paths, make_plan(paths, steps))
    start_run(paths, run)
    record = wait_for_end(run)
    if record.status is not Status.SUCCEEDED:
        sys.exit(f"the control did not succeed: {record.error}\n{tail(run)}")
    return run


def soak_round(home, steps, control, chance, tally):
    paths = home_paths(home)
    run = create_run(paths, make_plan(paths, steps))
    start_run(paths, run)
    for _ in range(chance.randint(1, 3)):
        moment, victim = chance.choice(MOMENTS), chance.choice(VICTIMS)
        if not wait_for_moment(run, moment, chance):
            break
        kill(run, victim)
        tally.kills[f"{victim} {moment}"] = tally.kills.get(f"{victim} {moment}", 0) + 1
        record = wait_for_end(run)  # a training whose launcher alone was killed goes on to its end
        if not record.status.is_resumable:
            break
        run = resume_run(paths, record)[1]
        tally.resumes += 1
    record = wait_for_end(run)
    while record.status.is_resumable:  # a kill in the last moment may have come before the last LoRA
        run = resume_run(paths, record)[1]
        tally.resumes += 1
        record = wait_for_end(run)
    tally.rounds += 1
    tally.problems += [f"{home.name}: {problem}" for problem in check(paths, run, control, steps, tally)]


def wait_for_moment(run, moment, chance):
    """Come back in the middle of caching, stepping or saving; False when the training is over before."""
    deadline = time.monotonic() + END_TIMEOUT_S
    delay = chance.random()
    after = {"caching": "phase", "stepping": "step", "saving": None, "any": None}[moment]
    if moment == "any":
        time.sleep(delay * 15)
        return not is_over(run)
    while time.monotonic() < deadline:
        if after and any(event["type"] == after for event, _ in read_events(run.events)):
            time.sleep(delay * (0.3 if moment == "caching" else 2.0))
            return not is_over(run)
        if moment == "saving" and is_saving(run):
            return True
        if is_over(run):
            return False
        time.sleep(0.001 if moment == "saving" else 0.02)
    return False


def is_saving(run):
    return any(
        path.name.startswith(".tmp-") for folder in (run.states, run.output) for path in folder.iterdir()
    )


def is_over(run):
    state = read_state(run)
    return not state.status.is_live or not any(process.is_alive for process in training_processes(run))


def kill(run, victim):
    """SIGKILL, no warning; the order is that of a power cut: all at once."""
    state = read_state(run)
    supervisors = {state.supervisor.pid} if state.supervisor else set()
    words = ("--run", str(run.folder))
    parents = {process.pid for process in find_by_arguments("accelerate.commands.launch", *words)}
    below = [process for process in find_by_arguments(*words) if process.pid not in supervisors | parents]
    own = [ProcessId.from_json(event) for event, _ in read_events(run.events) if event["type"] == "start"]
    training = [
        *own,
        *below,
        *([state.trainer_process] if victim == "both" and state.trainer_process else []),
    ]
    supervisor = [state.supervisor] if state.supervisor else []
    for process in {"trainer": training, "launcher": supervisor, "both": supervisor + training}[victim]:
        found = process.find()
        if found:
            found.kill()


def wait_for_end(run):
    if not wait_until(lambda: not load_run(run.folder).status.is_live, timeout_s=END_TIMEOUT_S, poll_s=0.1):
        sys.exit(f"{run.folder} did not end within {END_TIMEOUT_S:.0f} s\n{tail(run)}")
    return load_run(run.folder)


def check(paths, run, control, steps, tally):
    """Everything that must hold at the end of a round, as sentences about what does not."""
    record = load_run(run.folder)
    if record.status is not Status.SUCCEEDED or record.step != steps:
        yield f"ended as {record.status.value} at step {record.step}: {record.error}\n{tail(run)}"
        return
    if weights(run) != control:
        yield "the final weights differ from the control's"
    for part in (record, *chain(paths, record)):
        yield from check_reported(RunPaths(folder=part.folder), states.training_states(run), tally)


def check_reported(run, kept, tally):
    """What the events say is saved must be there; what lies in the output must be whole."""
    told = [event for event, _ in read_events(run.events) if event["type"] in {"save", "state"}]
    oldest = min(states.state_step(state) for state in kept)
    for event in told:
        path = run.folder / event["path"]
        if event["type"] == "save":
            tally.saves += 1
            if not path.is_file() or path.stat().st_size != event["bytes"] or tensors(path) is None:
                yield f"{path} was reported as saved and is not there, or not whole"
        elif event["step"] > oldest:
            tally.states += 1
            reason = states.verify_state(path)
            if reason:
                yield f"{path} was reported as saved: {reason}"
    for path in [*run.output.glob("*.safetensors"), *run.output.glob("sample/*.png")]:
        if path.suffix == ".safetensors" and tensors(path) is None:
            yield f"{path} is half a file"
    yield from (
        f"{path}: {states.verify_state(path)}"
        for path in states.list_states(run)
        if states.verify_state(path)
    )


def weights(run):
    return tensors(run.output / f"{NAME}.safetensors")


def tensors(path):
    """Name, shape, type and raw bytes of every tensor (metadata has times in it); None for a damaged file."""
    data = path.read_bytes()
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return None
    body = data[8 + length :]
    found = {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
        for name, entry in header.items()
        if name != "__metadata__"
    }
    ends = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    return found if ends == len(body) else None


def tail(run):
    return run.log.read_text(encoding="utf-8", errors="replace")[-3000:] if run.log.exists() else ""


if __name__ == "__main__":
    os.environ.pop("LAUNCHER_HOME", None)
    sys.exit(main())
