"""Commands: functions of the script, cmdlets by their kind, and programs, which become words."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.importer.findings import TooLong
from launcher.importer.launch import Word, split_command
from launcher.importer.powershell import tree
from launcher.importer.powershell.cmdlets import HANDLERS
from launcher.importer.powershell.expression_values import ExpressionEvaluator
from launcher.importer.powershell.values import (
    Folded,
    NotKnown,
    ScriptBlock,
    Traced,
    Unknown,
    to_text,
)
from launcher.importer.secrets import hide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.importer.powershell.values import Slot

ALIASES = {
    "echo": "write-output", "write": "write-output", "cd": "set-location", "chdir": "set-location", "sl": "set-location",
    "pushd": "push-location", "popd": "pop-location", "saps": "start-process", "start": "start-process",
    "iex": "invoke-expression", "%": "foreach-object", "foreach": "foreach-object", "?": "where-object",
    "where": "where-object", "select": "select-object", "sort": "sort-object", "measure": "measure-object",
    "gci": "get-childitem", "ls": "get-childitem", "dir": "get-childitem", "gc": "get-content", "cat": "get-content",
    "type": "get-content", "pwd": "get-location", "gl": "get-location", "tee": "tee-object", "sv": "set-variable",
    "set": "set-variable", "nv": "new-variable", "gv": "get-variable", "rvpa": "resolve-path", "sleep": "start-sleep",
}  # fmt: skip
# Their outcome only a run would tell.
OF_THE_RUN = {
    "test-path": "whether a file is there is not looked up", "get-childitem": "it lists a folder", "get-content": "it reads another file",
    "get-date": "it depends on the moment", "get-random": "it is drawn by lot", "read-host": "it asks at the keyboard",
    "resolve-path": "it looks for a file", "get-item": "it looks at a file", "get-command": "it looks for a program",
    "new-guid": "it is drawn by lot", "convertfrom-json": "it reads another file", "import-csv": "it reads another file",
    "get-process": "it looks at what runs", "get-ciminstance": "it looks at this computer", "get-wmiobject": "it looks at this computer",
    "invoke-webrequest": "it asks the network", "invoke-restmethod": "it asks the network", "import-powershelldatafile": "it reads another file",
}  # fmt: skip
QUIET = frozenset({
    "write-host", "write-verbose", "write-debug", "write-warning", "write-error", "write-information", "write-progress",
    "clear-host", "cls", "clear", "start-sleep", "pause", "out-null", "out-host", "new-item", "mkdir", "md", "remove-item",
    "copy-item", "move-item", "rename-item", "set-content", "add-content", "out-file", "start-transcript", "stop-transcript",
    "set-executionpolicy", "set-strictmode", "add-type", "wait-process", "stop-process", "set-psdebug", "exit-pssession", "import-module",
    "remove-variable", "set-itemproperty", "unblock-file", "invoke-item", "ii", "rm", "del", "cp", "copy", "mv", "move", "rmdir", "title", "trap",
})  # fmt: skip
PASSING = frozenset({"tee-object", "out-string", "out-default", "write-output"})
SWITCHES = frozenset({
    "nonewwindow", "wait", "passthru", "usenewenvironment", "parent", "leaf", "leafbase", "extension", "noqualifier", "force", "unique",
    "descending", "recurse", "file", "directory", "noenumerate", "line", "sum", "average", "loaduserprofile",
})  # fmt: skip
ARRAY_TEXT = "System.Object[]"
MAX_NESTED_TEXT = 8


class CommandEvaluator(ExpressionEvaluator):
    """Commands and pipelines."""

    nested_texts = 0

    def call_function(
        self, function: tree.Function, named: dict[str, Any], positional: list[Any]
    ) -> list[Any]:
        raise NotImplementedError

    def pipeline(self, node: tree.Pipeline) -> list[Any]:
        """Each element gets what the one before it puts out."""
        out = self.output(node.elements[0])
        for element in node.elements[1:]:
            self.step()
            out = self.command(element, out) if isinstance(element, tree.Command) else self.output(element)
        return out

    def command(self, node: tree.Command, given: list[Any] | None = None) -> list[Any]:
        """One command; what it puts out."""
        self.step()
        try:
            return self._command(node, given)
        except NotKnown as error:
            self.state.leave(node.line, f"a command is not evaluated: {error.unknown.reason}")
            return [error.unknown]

    def _command(self, node: tree.Command, given: list[Any] | None) -> list[Any]:
        if isinstance(node.name, tree.Block):  # `& { ... }`
            return self.run(node.name.body)
        name = self.traced(node.name)
        if isinstance(name, ScriptBlock):
            return self.run(name.body)
        is_text = isinstance(name, str)
        plain = name.strip().lower().removesuffix(".exe") if is_text else ""
        plain = ALIASES.get(plain, plain)
        if plain in self.state.functions:
            named, positional = self.bound(node.elements)
            return self.call_function(self.state.functions[plain], named, positional)
        if node.operator == "." or plain.endswith((".ps1", ".psm1")):
            return self._other_script(node, name)
        handler = HANDLERS.get(plain)
        if handler is not None:
            return handler(self, node, given)
        if plain in QUIET:
            return []
        if plain in PASSING:
            return (
                given
                if given is not None
                else [
                    item
                    for one in self.bound(node.elements)[1]
                    for item in (one if isinstance(one, list) else [one])
                ]
            )
        if plain in OF_THE_RUN:
            return [Unknown(f"{OF_THE_RUN[plain]} ({plain})", node.line, f"({plain} ...)")]
        return self._program(node, name)

    def _other_script(self, node: tree.Command, name: Any) -> list[Any]:
        shown = hide(str(name.text if isinstance(name, Unknown) else to_text(name)))
        if "activate" in shown.lower():
            return []
        self.state.note(node.line, f"{shown} is another script: it was not read")
        if node.operator == ".":
            self.state.other_files = self.state.other_files or node.line
        return [Unknown("the outcome of another script", node.line)]

    # ------------------------------------------------------------------ words

    def bound(self, elements: tuple[tree.Node, ...]) -> tuple[dict[str, Any], list[Any]]:
        """Named and positional arguments of a cmdlet or function."""
        named: dict[str, Any] = {}
        positional: list[Any] = []
        waiting = ""
        for element in elements:
            if isinstance(element, tree.Parameter):
                if waiting:
                    named[waiting] = True
                waiting = ""
                if element.value is not None:
                    named[element.name] = self.traced(element.value)
                elif element.name in SWITCHES:
                    named[element.name] = True
                else:
                    waiting = element.name
                continue
            value = self.traced(element)
            if isinstance(element, tree.Variable) and element.is_splat:
                if isinstance(value, Folded):
                    named |= {key.lower(): item for key, item in value.pairs()}
                else:
                    positional += value if isinstance(value, list) else [value]
            elif waiting:
                named[waiting] = value
                waiting = ""
            else:
                positional.append(value)
        if waiting:
            named[waiting] = True
        return named, positional

    def words(self, elements: tuple[tree.Node, ...]) -> list[Word]:
        """The arguments of a program as it would get them."""
        found: list[Word] = []
        for element in elements:
            if isinstance(element, tree.Parameter):
                found.append(Word(text=element.text, line=element.line))
                if element.value is not None:
                    found += self.words_of(self.traced(element.value), element.line)
            elif isinstance(element, tree.Items) and element.gaps:
                found += self._literal_list(element)
            else:
                found += self.words_of(self.traced(element), element.line, element)
        return found

    def _literal_list(self, node: tree.Items) -> list[Word]:
        """`a,b` reaches a program as one word `a,b`; `a, b` as two, `a,` and `b` (NativeCommandParameterBinder)."""
        found: list[Word] = []
        is_open = False
        for number, item in enumerate(node.items):
            comma = "," if number < len(node.items) - 1 else ""
            for word in self.words_of(self.traced(item), item.line, item):
                if is_open and found:
                    last = found[-1]
                    found[-1] = replace(
                        last,
                        text=last.text + word.text + comma,
                        origin=last.origin or word.origin,
                        unknown=last.unknown or word.unknown,
                    )
                else:
                    found.append(replace(word, text=word.text + comma))
                is_open = False
            is_open = bool(comma) and not node.gaps[number]
        return found

    def words_of(self, value: Any, line: int, node: tree.Node | None = None) -> list[Word]:
        """One value as words: a list is spread, $null is no word."""
        if value is None:
            return []
        if isinstance(value, list):
            flat = [
                ARRAY_TEXT if isinstance(item, list) else item for item in value
            ]  # one level, as .NET does it
            return [word for item in flat for word in self.words_of(item, line)]
        if isinstance(value, Folded):
            pairs = value.pairs()
            return [
                word
                for key, item in pairs
                for word in (Word(text=f"-{key}", line=line), *self.words_of(item, line))
            ]
        if isinstance(value, Unknown):
            return [Word(text=value.text or "?", line=line, unknown=f"{value.reason} (line {value.line})")]
        text = to_text(value)
        if isinstance(text, Unknown):
            return self.words_of(text, line)
        if isinstance(value, Traced):
            return [Word(text=str(value), line=value.line, origin=value.origin)]
        origin = 0
        if isinstance(node, tree.Variable):
            slot: Slot | None = self.state.find(node.scope, node.name)
            origin = slot.line if slot else 0
        return [Word(text=text, line=line, origin=origin)]

    def _program(self, node: tree.Command, name: Any) -> list[Any]:
        if name is None or name == "":
            self.state.leave(node.line, "a command without a name")
            return []
        first = self.words_of(name, node.line, node.name)
        self.start([*first, *self.words(node.elements)], node.line)
        shown = first[0].text if first else "a program"
        return [Unknown(f"what {hide(shown)[:40]} puts out", node.line)]

    def start(self, words: list[Word], line: int) -> None:
        """A program with its words: a launch if it starts a Python script, else noted by its name."""
        if words and words[0].unknown and any(word.text.lower().endswith(".py") for word in words[1:]):
            words = [replace(words[0], text="python", unknown=""), *words[1:]]
        env = {slot.type: slot.value for slot in self.state.env.values() if isinstance(slot.value, str)}
        launch = split_command(
            words, env=env, folder=self.state.folder, condition=self.state.condition, line=line
        )
        if launch is not None and len(self.state.launches) < 100:
            self.state.launches.append(launch)
        elif launch is None and len(self.state.programs) < 1000:
            if any(word.unknown and word.text.startswith("$") for word in words[:3]) or (
                words and words[0].text == "cmd"
            ):
                self.state.leave(
                    line, f"what `{hide(' '.join(word.text for word in words[:4]))}` starts is not known"
                )
            self.state.programs.append(tuple(words[:12]))

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """A text that is read as a script, in a script, in a text ...

        Raises:
            TooLong: it goes on and on.
        """
        self.nested_texts += 1
        if self.nested_texts > MAX_NESTED_TEXT:
            raise TooLong
        try:
            yield
        finally:
            self.nested_texts -= 1
