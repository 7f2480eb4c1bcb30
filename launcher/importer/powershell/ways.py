"""Ways of a script that depend on conditions, known ones and unknown ones."""

from __future__ import annotations

from typing import Any

from launcher.importer.powershell import tree
from launcher.importer.powershell.operators import like, pattern_of
from launcher.importer.powershell.programs import CommandEvaluator
from launcher.importer.powershell.state import Flowing
from launcher.importer.powershell.uncertain import assigned_names, may_launch, mutated_names, puts_out
from launcher.importer.powershell.values import Folded, Unknown, equal, text_of, truth

MAX_CALLS = 12


class WayEvaluator(CommandEvaluator):
    """`if` and `switch`."""

    def if_way(self, node: tree.If) -> list[Any]:
        for number, (condition, body) in enumerate(node.clauses):
            holds = self.condition(condition)
            if isinstance(holds, Unknown):
                bodies = [clause for _, clause in node.clauses[number:]] + (
                    [node.otherwise] if node.otherwise else []
                )
                return self.uncertain_way(node.line, holds, bodies)
            if holds:
                return self.run(body)
        return self.run(node.otherwise) if node.otherwise else []

    def condition(self, node: tree.Node) -> bool | Unknown:
        """Whether a condition holds. A variable of the environment that the script never sets counts as not set."""
        outer, self.asks_environment = self.asks_environment, True
        try:
            return truth(self.value(node))
        finally:
            self.asks_environment = outer

    def uncertain_way(self, line: int, unknown: Unknown, bodies: list[tuple[tree.Node, ...]]) -> list[Any]:
        """Neither way is taken; what the ways would change is unknown afterwards, launches in them are kept."""
        reason = f"it depends on a condition in line {line} that is not known: {unknown.reason}"
        assigned = {name for body in bodies for name in assigned_names(body)}
        mutated = {name for body in bodies for name in mutated_names(body)}
        launching = [body for body in bodies if may_launch(body, self.state.functions)]
        out: list[Any] = [Unknown(reason, line)] if any(puts_out(body) for body in bodies) else []
        if not (assigned or mutated or launching or out):
            return []
        self.state.leave(line, f"a condition is not known: {unknown.reason}")
        for body in launching:
            self._try_way(line, unknown, body)
        for scope, name in assigned:
            self.state.set(scope, name, Unknown(reason, line, f"${name}"), line)
        for scope, name in mutated - assigned:
            slot = self.state.find(scope, name)
            more = Unknown(reason, line, f"(what line {line} may add to ${name})")
            if slot is not None and isinstance(slot.value, list):
                slot.value.append(more)
            elif slot is not None and not isinstance(slot.value, Folded):
                self.state.set(scope, name, more, line)
        return out

    def _try_way(self, line: int, unknown: Unknown, body: tuple[tree.Node, ...]) -> None:
        self.step(self.state.weight())
        snapshot, outer = self.state.copy(), self.state.condition
        self.state.condition = outer or f"only if a condition in line {line} holds ({unknown.reason})"
        try:
            self.run(body)
        except Flowing:
            pass
        finally:
            self.state.restore(snapshot)
            self.state.condition = outer

    def switch_way(self, node: tree.Switch) -> list[Any]:
        subject = self.value(node.subject)
        if isinstance(subject, Unknown):
            return self.uncertain_way(node.line, subject, [body for _, body in node.clauses])
        out: list[Any] = []
        for item in subject if isinstance(subject, list) else [subject]:
            try:
                out += self._switch_one(node, item)
            except Flowing as flow:
                if flow.kind == "break":
                    break
                if flow.kind != "continue":
                    raise
        return out

    def _switch_one(self, node: tree.Switch, item: Any) -> list[Any]:
        out: list[Any] = []
        is_found = False
        for pattern, body in node.clauses:
            if pattern is None:
                continue
            holds = self._fits(node, pattern, item)
            if isinstance(holds, Unknown):
                return self.uncertain_way(node.line, holds, [clause for _, clause in node.clauses])
            if holds:
                is_found = True
                with self.current(item):
                    out += self.run(body)
        for pattern, body in node.clauses if not is_found else ():
            if pattern is None:
                out += self.run(body)
        return out

    def _fits(self, node: tree.Switch, pattern: tree.Node, item: Any) -> bool | Unknown:
        if isinstance(pattern, tree.Block):
            with self.current(item):
                found = self.run(pattern.body)
            return truth(found[0] if len(found) == 1 else found)
        wanted = self.value(pattern)
        if isinstance(wanted, Unknown) or isinstance(item, Unknown):
            return wanted if isinstance(wanted, Unknown) else item
        exact = node.is_case_sensitive
        if node.mode == "wildcard":
            return like(text_of(item), text_of(wanted), is_exact=exact)
        if node.mode == "regex":
            compiled = pattern_of(text_of(wanted), node.line, is_exact=exact)
            return compiled if isinstance(compiled, Unknown) else bool(compiled.search(text_of(item)[:2000]))
        return equal(item, wanted, node.line, is_exact=exact)
