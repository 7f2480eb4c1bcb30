"""Looks after each sample, says once when something begins and once when it is over, and carries out what was opted for."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.events import EventWriter
from launcher.guard.card import rest_of
from launcher.guard.follower import Follower
from launcher.guard.limits import WINDOW_S
from launcher.guard.look import Look, moment_of
from launcher.guard.requests import Requests
from launcher.guard.rules import RULES
from launcher.guard.usual import usual_phases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.guard.limits import Limits
    from launcher.guard.look import Concern, Moment
    from launcher.guard.rules import Rule
    from launcher.paths import RunPaths

MOST_GAP_S = 10.0  # between two samples; more was a computer that slept
MOST_UNSAID = 100


class Guard:
    """The rules with their memory. Knows no user interface: what it finds stands in `warnings.jsonl`.

    Args:
        run: the run folder.
        limits: what the person chose.
        trainer_class: whose earlier runs tell how long a phase takes.
        state_mib: size of the state that this run goes on from, until it has one of its own.
        system: as `sys.platform` has it.
    """

    def __init__(
        self, run: RunPaths, limits: Limits, *, trainer_class: str = "", state_mib: float | None = None,
        system: str = sys.platform,
    ) -> None:  # fmt: skip
        self._run = run
        self._limits = limits
        self._system = system
        self._follower = Follower(run, usual_phases(run, trainer_class), state_mib=state_mib)
        self._requests = Requests(run)
        self._moments: deque[Moment] = deque()
        self._at = 0.0
        self._last_t: float | None = None
        self._rest_c: float | None = None
        self._since: dict[str, float] = {}  # when a finding that is no warning yet was first made
        self._seen: dict[str, float] = {}  # when a standing one was last confirmed
        self._began: dict[str, float] = {}
        self._standing: dict[str, Concern] = {}
        self._unsaid: deque[dict[str, Any]] = deque(maxlen=MOST_UNSAID)
        self._writer: EventWriter | None = None

    @property
    def standing(self) -> tuple[Concern, ...]:
        """What is wrong now."""
        return tuple(self._standing.values())

    def look(self, sample: Mapping[str, Any]) -> None:
        """Judge the run after one sample of the machine (a line of `gpu.jsonl`)."""
        look = self._look(sample)
        self._note_rest(look)
        for rule in RULES:
            self._settle(rule, {concern.kind: concern for concern in rule.check(look)}, look.progress.step)
        self._ask()
        self._say()

    def close(self) -> None:
        """The training is over: nothing is held any more."""
        self._requests.release()
        self._say()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _look(self, sample: Mapping[str, Any]) -> Look:
        time = float(sample.get("t") or 0.0)
        passed = 0.0 if self._last_t is None else min(max(time - self._last_t, 0.0), MOST_GAP_S)
        self._last_t = time
        self._at += passed
        moment = moment_of(sample, self._at)
        self._moments.append(moment)
        while self._at - self._moments[0].at > WINDOW_S:
            self._moments.popleft()
        self._follower.update(passed)
        used = moment.gpus[0].used_mib if moment.gpus else None
        return Look(
            moments=tuple(self._moments), progress=self._follower.progress(used), limits=self._limits,
            standing=frozenset(self._standing), system=self._system, rest_c=self._rest_c,
        )  # fmt: skip

    def _note_rest(self, look: Look) -> None:
        """The night is cooler than the evening: what is reached once is not too low to be waited for."""
        rest, hottest = rest_of(look), look.now.hottest_c
        if rest is not None:
            self._rest_c = rest
        elif self._rest_c is not None and hottest is not None:
            self._rest_c = min(self._rest_c, hottest)

    def _settle(self, rule: Rule, found: Mapping[str, Concern], step: int) -> None:
        for kind in rule.kinds:
            concern = found.get(kind)
            if concern is None:
                self._miss(rule, kind, step)
            else:
                self._meet(rule, concern, step)

    def _meet(self, rule: Rule, concern: Concern, step: int) -> None:
        kind = concern.kind
        known = self._standing.get(kind)
        if known is not None:
            self._seen[kind] = self._at
            if known.act == concern.act:
                return
            self._end(kind, step)  # it asks for something else now: that is news
        elif self._at - self._since.setdefault(kind, self._at) < rule.begins_after_s:
            return
        self._standing[kind] = concern
        self._seen[kind] = self._began[kind] = self._at
        self._unsaid.append(
            {"t": self._last_t, "kind": kind, "state": "begin", "message": concern.message, "fix": concern.fix, "act": concern.act, "step": step}
        )  # fmt: skip
        if concern.act == "pause":
            self._requests.pause(concern)

    def _miss(self, rule: Rule, kind: str, step: int) -> None:
        self._since.pop(kind, None)
        if kind in self._standing and self._at - self._seen[kind] >= rule.ends_after_s:
            self._end(kind, step)

    def _end(self, kind: str, step: int) -> None:
        del self._standing[kind]
        seconds = round(self._at - self._began[kind], 1)
        self._unsaid.append(
            {"t": self._last_t, "kind": kind, "state": "end", "seconds": seconds, "step": step}
        )

    def _ask(self) -> None:
        holding = next((concern for concern in self._standing.values() if concern.act == "hold"), None)
        if holding is not None:
            self._requests.hold(holding)
        else:
            self._requests.release()

    def _say(self) -> None:
        """Write what happened; on a full disk it waits for room."""
        with suppress(OSError):
            while self._unsaid:
                if self._writer is None:
                    self._writer = EventWriter(self._run.warnings)
                self._writer.write("warning", **self._unsaid[0])
                self._unsaid.popleft()
