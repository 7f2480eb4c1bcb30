"""One training from its first event to its last: load the script, wrap it, run it, say how it ended."""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError
from launcher.events import Status
from launcher.files import read_json
from launcher.paths import RunPaths
from launcher.process import ProcessId
from launcher.shim import startup
from launcher.shim.crew import Crew
from launcher.shim.hooks import Hooks
from launcher.shim.notices import Notices
from launcher.shim.pace import Pace
from launcher.shim.phases import Phases
from launcher.shim.reporter import Reporter
from launcher.shim.requests import Leave
from launcher.shim.samples import Samples
from launcher.shim.saving import Saver
from launcher.shim.switches import read_switches
from launcher.shim.trainer import open_trainer
from launcher.shim.trouble import describe
from launcher.states import clear_leftovers, train_step

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED = 1
GIB = 1 << 30


def main(argv: Sequence[str]) -> int:
    """Train as `argv` says and return the exit code: 0 also for a pause that was asked for."""
    options = _parse(argv)
    return Session(options).run()


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shim", allow_abbrev=False)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--script", type=Path, required=True, help="the trainer's script")
    parser.add_argument(
        "--trainer-class", required=True, help="class in the script with a method train(args)"
    )
    parser.add_argument(
        "--switch", action="append", default=[], metavar="NAME=VALUE", help="one of the launcher's switches"
    )
    parser.add_argument("trainer_argv", nargs="*", help="after --: the trainer's own arguments")
    return parser.parse_args(list(argv))


class Session:
    """The parts of the shim, put together."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._script: Path = options.script
        self._class_name: str = options.trainer_class
        self._argv: list[str] = options.trainer_argv
        self._switches = read_switches(options.switch)
        self._run = RunPaths(folder=options.run.absolute())
        self._began = time.time()
        self._crew = Crew.find()
        self._reporter = Reporter(self._run.events, rank=self._crew.rank)
        self._phases = Phases(self._reporter)
        pace = Pace()
        self._hooks = Hooks(
            self._run, self._reporter, pace, self._phases, Samples(self._run, self._reporter),
            crew=self._crew, state_every_minutes=self._switches["state_every_minutes"],
            stop_on_nan=self._switches["stop_on_nan"],
        )  # fmt: skip
        self._saver = self._hooks.saver = Saver(
            self._run, self._reporter, pace, keep=self._switches["keep_states"],
            budget=int(self._switches["states_budget_gib"] * GIB), on_lora_done=self._hooks.lora_done,
        )  # fmt: skip

    def run(self) -> int:
        """Train; the last event always says how it ended."""
        try:
            self._train()
        except Leave as leave:
            self._end(leave.status)
            return 0
        except SystemExit as leave:
            return self._conclude(leave.code)
        except KeyboardInterrupt:
            self._end(Status.INTERRUPTED)
            raise
        except LauncherError as error:  # expected: a sentence, no traceback
            self._tell_error(error)
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code
        except BaseException as error:
            self._tell_error(error)
            raise
        return self._conclude(0)

    def _train(self) -> None:
        if self._crew.is_main:
            for folder in (self._run.states, self._run.output):
                self._reporter.attempt(clear_leftovers, folder)
        Notices(self._reporter).listen()
        self._saver.step = _resumed_step(self._argv)
        self._reporter.attempt(startup.begin, self._run, self._script)
        self._start()
        self._leave_to_successor()
        self._reporter.attempt(startup.torch_is_here, self._run)
        self._saver.redirect()
        self._reporter.listen("progress", self._hooks.leave_before_steps)
        sys.argv = [str(self._script), *self._argv]
        trainer_class, args = open_trainer(
            self._script, self._class_name, self._argv, self._switches,
            run=self._run, reporter=self._reporter, hooks=self._hooks, crew=self._crew,
        )  # fmt: skip
        self._reporter.attempt(startup.imported)
        self._saver.output_name = str(getattr(args, "output_name", "") or "")
        self._hooks.wrap(trainer_class)
        self._saver.last_state_at = time.monotonic()
        trainer_class().train(args)

    def _start(self) -> None:
        import torch

        own = ProcessId.of(os.getpid())
        device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
        self._reporter.emit(
            "start", **(own.to_json() if own else {"pid": os.getpid()}), trainer=self._class_name,
            torch=_torch_version(), device=device, resumed_step=self._saver.step,
        )  # fmt: skip

    def _leave_to_successor(self) -> None:
        """Everything around us may have been killed before we could tell that we live, and the run be continued."""
        try:
            state = read_json(self._run.state_json)
        except InputError:
            return
        if isinstance(state, dict) and state.get("resumed_by"):
            raise Leave(Status.INTERRUPTED)

    def _conclude(self, code: Any) -> int:
        """The trainer has returned. Exit code 0 does not mean trained (facts/sd-scripts.md 0.8): look at what is there."""
        total, step = self._hooks.total_steps, self._saver.step
        if code not in {None, 0}:
            self._fail("TrainerExit", f"the trainer ended by itself with code {code}")
        elif not self._crew.is_main:
            return 0  # the first process writes the files, and tells
        elif not self._saver.has_final:
            self._fail("NothingTrained", "the trainer ended without an error, but has not written its LoRA")
        elif total is not None and step < total:
            self._fail("EndedEarly", f"the trainer ended without an error at step {step} of {total}")
        else:
            self._end(Status.SUCCEEDED)
            return 0
        return code if isinstance(code, int) and code else FAILED

    def _tell_error(self, error: BaseException) -> None:
        self._fail(**describe(error))

    def _fail(self, error: str, message: str, traceback: str = "", **more: object) -> None:
        where = {"phase": self._phases.current, "step": self._saver.step}
        self._reporter.emit("error", error=error, message=message, traceback=traceback, **where, **more)
        self._end(Status.FAILED)

    def _end(self, status: Status) -> None:
        seconds = round(time.time() - self._began, 1)
        self._reporter.emit("end", status=status.value, step=self._saver.step, seconds=seconds)


def _resumed_step(argv: Sequence[str]) -> int:
    """The step of the state named by `--resume`; 0 when there is none (the trainer says what is wrong with it)."""
    if "--resume" not in argv[:-1]:
        return 0
    try:
        return train_step(Path(argv[argv.index("--resume") + 1]))[0]
    except InputError:
        return 0


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
