"""Tries inside a new environment everything that training needs, and tells what came out as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InstallError, LauncherError
from launcher.install import accelerate
from launcher.install.findings import (
    CHECK_LIMIT_S,
    CHECKS_OF,
    FAILED,
    FELL_BACK,
    OK,
    SKIPPED,
    TITLES,
    Check,
    ProofError,
    Report,
    death,
)
from launcher.install.probe import BEGIN, LAUNCHED, RESULT
from launcher.paths import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.install.commands import Commands
    from launcher.install.pins import Pins, TorchSet
    from launcher.install.steps import Tell

PROBE = Path(__file__).with_name("probe.py")
CARD_FIX = (
    "Does `nvidia-smi` list the card? After an update of the driver the computer must be started anew once. "
    f"`{COMMAND} doctor` tells which torch build fits the card."
)
OPTION = "--fp8_base"  # every trainer that we install must know it


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One proof: what is tried where."""

    commands: Commands
    python: Path
    code: Path | None
    pins: Pins
    planned: Mapping[str, str]
    torch_set: TorchSet
    attention: str
    attention_reason: str = ""
    tokenizers: Path | None = None
    accelerate_config: Path | None = None
    tell: Tell
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Checks for the probe, in order."""
        planned = dict.fromkeys(
            check for name, checks in CHECKS_OF.items() if name in self.planned for check in checks
        )
        asked = [name for name in self.pins.proof_operations if name in TITLES]
        tokenizers = ["tokenizers"] if self.tokenizers and "transformers" in self.planned else []
        imports = [f"import {name}" for name in self.pins.proof_imports]
        return list(dict.fromkeys(["packages", *planned, *asked, *tokenizers, *imports]))

    def run(self) -> Report:
        self._run_probe()
        checks = [self._packages()]
        checks += [self._check(name) for name in self.names if name in TITLES and name != "packages"]
        checks.append(self._imports())
        if self._is_busy:
            return self._report(tuple(checks))
        if self.pins.probe_help and self.code and self.pins.source:
            checks.append(self._help(self.code / self.pins.source.script))
        if self.accelerate_config:
            checks.append(self._launch(self.accelerate_config))
        return self._report(tuple(checks))

    @property
    def _is_busy(self) -> bool:
        """The card has no room or no time for us: that says nothing about the environment."""
        return any(answer.get("busy") for answer in self.answers.values())

    # --- the probe

    def _run_probe(self) -> None:
        """Until every check has an answer: a crash, a hang or a failure ends the process, and the rest gets another."""
        while left := [name for name in self.names if name not in self.answers]:
            begun: list[str] = []
            before = len(self.answers)
            words = self._ask(left, begun)
            if begun and begun[-1] not in self.answers:
                self.answers[begun[-1]] = {"state": FAILED, "value": "", "detail": words, "facts": {}}
            if self._is_busy:
                not_tried = {"state": SKIPPED, "value": "", "detail": "not tried", "facts": {}}
                self.answers.update({name: not_tried for name in left if name not in self.answers})
            if len(self.answers) == before:
                raise InstallError(
                    "The new environment does not start.",
                    why=words,
                    fix=f"Type `{COMMAND} repair`; if that does not help, send the log along.",
                    where=str(self.commands.log.path),
                )

    def _ask(self, names: Sequence[str], begun: list[str]) -> str:
        """One process with these checks; what it begins goes to `begun`. Returns how it ended, in words."""
        lines: list[str] = []

        def hear(line: str) -> None:
            if not line.startswith((BEGIN, RESULT)):
                lines.append(line)
            if line.startswith(BEGIN) and (name := _parse(line.removeprefix(BEGIN))) in names:
                begun.append(name)
                self.tell(f"trying: {TITLES.get(name, name)}")
            elif line.startswith(RESULT) and isinstance(answer := _parse(line.removeprefix(RESULT)), dict):
                self.answers[answer.pop("check")] = answer

        question = {
            "checks": list(names),
            "versions": sorted(self.planned),
            "cuda": self.torch_set.cuda,
            "tokenizers": str(self.tokenizers) if self.tokenizers else None,
            "limit_s": CHECK_LIMIT_S,
        }
        # -I: nothing beside the probe, in the current folder or in the user's own site is taken
        argv = [str(self.python), "-I", "-X", "utf8", str(PROBE), json.dumps(question)]
        try:
            finished = self.commands.call(
                argv, environment(), hear, timeout_s=CHECK_LIMIT_S * len(names) + 60
            )
        except LauncherError as error:
            return error.what
        return death(finished.code, lines)

    def _check(self, name: str) -> Check:
        answer = self.answers[name]
        check = Check(
            title=TITLES[name], value=answer["value"], state=answer["state"], detail=answer["detail"]
        )
        if name == "torch" and check.state == OK:
            return self._torch_as_planned(check)
        if name == "xformers" and check.state == FAILED and not answer.get("busy"):
            return Check(title=check.title, state=FELL_BACK, detail=check.detail)
        return check

    def _torch_as_planned(self, check: Check) -> Check:
        """The build itself, not only its record: a package index may put another build behind the same version."""
        facts = self.answers["torch"]["facts"]
        version, _, tag = self.planned.get("torch", "").partition("+")
        found, _, found_tag = str(facts["torch"]).partition("+")
        cuda, wanted = facts["cuda"], self.torch_set.cuda
        wrong = {
            f"torch calls itself {facts['torch']} and should be {self.planned.get('torch')}": found != version
            or (tag and tag != found_tag),
            f"torch is a CPU build and should have CUDA {wanted}": wanted and not cuda,
            f"torch has CUDA {cuda} and should have {wanted}": wanted and tag and cuda and cuda != wanted,
        }
        detail = next((words for words, holds in wrong.items() if holds), "")
        return Check(title=check.title, value=check.value, state=FAILED if detail else OK, detail=detail)

    def _packages(self) -> Check:
        answer = self.answers["packages"]
        if answer["state"] != OK:
            return Check(title=TITLES["packages"], state=FAILED, detail=answer["detail"])
        found = answer["facts"]["versions"]
        wrong = [
            f"{name} is {found.get(name)} and should be {version}"
            for name, version in self.planned.items()
            if found.get(name) != version
        ]
        value = (
            f"Python {answer['value']}, {len(self.planned) - len(wrong)} of {len(self.planned)} as planned"
        )
        return Check(
            title=TITLES["packages"], value=value, state=FAILED if wrong else OK, detail="\n".join(wrong)
        )

    def _imports(self) -> Check:
        names = [name for name in self.names if name.startswith("import ")]
        wrong = [
            f"{name}: {self.answers[name]['detail']}"
            for name in names
            if self.answers[name]["state"] == FAILED
        ]
        return Check(
            title="Imports", value=f"{len(names) - len(wrong)} of {len(names)}",
            state=FAILED if wrong else OK, detail="\n".join(wrong),
        )  # fmt: skip

    # --- the trainer and accelerate, each in a process of its own

    def _help(self, script: Path) -> Check:
        title = f"{script.name} --help"
        self.tell(f"trying: {title}")
        argv = [str(self.python), "-X", "utf8", str(script), "--help"]
        output, words = self._call(argv)
        if words or OPTION not in output:
            return Check(title=title, state=FAILED, detail=words or f"its help does not know {OPTION}")
        return Check(title=title, value=f"starts, and knows {OPTION}")

    def _launch(self, config: Path) -> Check:
        """The very line that training is started with, with a script that tells what it got."""
        title = "accelerate launch"
        self.tell(f"trying: {title}")
        argv = [  # fp16 may be asked of any card, and of none
            *accelerate.launch_argv(self.python, config, mixed_precision="fp16", threads=1), str(PROBE), "launched",
        ]  # fmt: skip
        output, words = self._call(argv)
        told = next((line for line in output.splitlines() if line.startswith(LAUNCHED)), None)
        if words or told is None:
            return Check(title=title, state=FAILED, detail=words or "it started nothing")
        got = json.loads(told.removeprefix(LAUNCHED))
        precision, cpu = got.get("ACCELERATE_MIXED_PRECISION"), str(got.get("ACCELERATE_USE_CPU"))
        if precision != "fp16" or cpu.lower() != "false":
            words = f"it handed down mixed precision {precision} instead of fp16, CPU only: {cpu}"
            return Check(title=title, state=FAILED, detail=words)
        return Check(title=title, value=f"{self.pins.accelerate} with {config.name}, precision as asked for")

    def _call(self, argv: Sequence[str]) -> tuple[str, str]:
        """What a command said, and what went wrong with it (or nothing)."""
        try:
            finished = self.commands.call(argv, environment(), timeout_s=CHECK_LIMIT_S)
        except LauncherError as error:
            return "", error.what
        lines = [line for line in finished.output.splitlines() if line.strip()]
        return finished.output, death(finished.code, lines) if finished.code else ""

    # --- the report

    def _report(self, checks: tuple[Check, ...]) -> Report:
        facts = {key: value for answer in self.answers.values() for key, value in answer["facts"].items()}
        attention, reason = self._attention()
        capability = facts.get("capability")
        report = Report(
            checks=checks, python=str(facts.get("python", "")), versions=facts.get("versions", {}),
            attention=attention, attention_reason=reason, cuda=facts.get("cuda"), device=facts.get("device", "cpu"),
            capability=(capability[0], capability[1]) if capability else None,
        )  # fmt: skip
        failed = [check for check in checks if check.state == FAILED]
        if failed:
            raise self._error(failed, report)
        return report

    def _attention(self) -> tuple[str, str]:
        answer = self.answers.get("xformers")
        if answer is None:
            return "sdpa", self.attention_reason or "this environment has no xformers"
        if answer["state"] == OK:
            return (
                self.attention,
                "xformers was tried and works"
                if self.attention == "xformers"
                else self.attention_reason or "as asked for",
            )
        return "sdpa", f"xformers: {answer['detail']}"

    def _error(self, failed: Sequence[Check], report: Report) -> ProofError:
        where = str(self.commands.log.path)
        why = "\n".join(f"{check.title}: {check.detail}" for check in failed)
        if self._is_busy:
            return ProofError(
                "The graphics card has no room for the proof of the new environment.",
                why=f"Another program uses it: a training, or another program with a large picture model.\n{why}",
                fix="Wait until the training is done, or close the other program, then start this again: "
                "only the proof is repeated.",
                where=where, report=report,
            )  # fmt: skip
        is_card = any(check.title == TITLES["card"] for check in failed)
        return ProofError(
            "The new environment does not pass its proof.", why=why, where=where, report=report,
            fix=CARD_FIX if is_card else f"Type `{COMMAND} repair`; if that does not help, send the log along.",
        )  # fmt: skip


def environment() -> dict[str, str | None]:
    """As in training: offline, and without what a shell left."""
    return {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "XFORMERS_FORCE_DISABLE_TRITON": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_MODULE_LOADING": "LAZY",
        # its imports leave the bytecode that the first training starts from
        **dict.fromkeys((*accelerate.PYTHON_VARIABLES, *accelerate.VARIABLES, "PYTHONDONTWRITEBYTECODE")),
    }


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a library printed into the line: the check counts as not answered
        return None
