"""What a script has done up to a line: variables, environment, working folder, launches. Nothing outside is touched."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.importer.findings import Findings
from launcher.importer.powershell.values import Folded, Slot, Unknown

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.importer.powershell.tree import Function

# Variables that Windows always sets: what they hold is this computer's affair.
ALWAYS_SET = frozenset({
    "userprofile", "home", "homepath", "homedrive", "appdata", "localappdata", "temp", "tmp", "path", "computername",
    "username", "programfiles", "programdata", "systemroot", "windir", "systemdrive", "comspec", "os", "psmodulepath",
    "public", "allusersprofile", "processor_architecture", "number_of_processors",
})  # fmt: skip
MOMENT = {
    "lastexitcode": "is the outcome of a program", "?": "is the outcome of a command", "home": "is a folder of this computer",
    "pid": "is the number of a process", "host": "is the window", "psversiontable": "is PowerShell's version",
    "matches": "is what a pattern found", "error": "is the list of errors", "profile": "is a file of this computer",
}  # fmt: skip


@dataclass(slots=True)
class Flowing(Exception):  # noqa: N818  (control flow of the script, not an error)
    """`break`, `continue`, `return`, `exit` and `throw` on their way up."""

    kind: str
    value: Any = None
    line: int = 0


@dataclass(kw_only=True, slots=True)
class State(Findings):
    """Everything that evaluation changes."""

    script: Path
    scopes: list[dict[str, Slot]] = field(default_factory=lambda: [{}])
    env: dict[str, Slot] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    folder: str | None = None
    folders: list[str | None] = field(default_factory=list)
    other_files: int = 0  # the line that reads another script; variables may come from there
    condition: str = ""

    def find(self, scope: str, name: str) -> Slot | None:
        """The slot of a variable, the innermost first."""
        name = name.lower()
        if scope == "env":
            return self.env.get(name)
        if scope in {"script", "global"}:
            return self.scopes[0].get(name)
        return next((scope_[name] for scope_ in reversed(self.scopes) if name in scope_), None)

    def set(self, scope: str, name: str, value: Any, line: int, kind: str = "") -> None:
        shown, name = name, name.lower()
        if scope == "env":
            self.env[name] = Slot(value, line, shown)  # variables keep their spelling as their type
            return
        place = self.scopes[0] if scope in {"script", "global"} else self.scopes[-1]
        old = place.get(name)
        place[name] = Slot(value, line, kind or (old.type if old else ""))

    def read(self, scope: str, name: str, line: int) -> Slot:
        """A variable's value; of one that is set nowhere $null, or why it cannot be known."""
        slot = self.find(scope, name)
        if slot is not None:
            return slot
        shown = f"${scope}:{name}" if scope else f"${name}"
        return Slot(self._automatic(scope, name.lower(), shown, line), 0)

    def _automatic(self, scope: str, name: str, shown: str, line: int) -> Any:
        if scope == "env":
            why = "is set by Windows" if name in ALWAYS_SET else "comes from the environment"
            return Unknown(f"{shown} {why}", line, shown)
        constants = {
            "true": True,
            "false": False,
            "null": None,
            "iswindows": True,
            "islinux": False,
            "ismacos": False,
        }
        if name in constants:
            return constants[name]
        if name in {"psscriptroot", "pwd"}:
            return str(self.script.parent) if name == "psscriptroot" or self.folder is None else self.folder
        if name == "pscommandpath":
            return str(self.script)
        if name == "myinvocation":
            return _invocation(self.script)
        if name in MOMENT:
            return Unknown(f"{shown} {MOMENT[name]}", line, shown)
        if self.other_files:
            return Unknown(f"{shown} may come from the file that line {self.other_files} reads", line, shown)
        return None

    def weight(self) -> int:
        """About how much a copy costs."""
        slots = [slot.value for scope in self.scopes for slot in scope.values()]
        return 20 + len(slots) + sum(len(value) for value in slots if isinstance(value, list)) // 10

    def copy(self) -> tuple[Any, ...]:
        """A snapshot of what assignments and lists change."""
        return copy.deepcopy((self.scopes, self.env, self.folder, self.folders))

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        self.scopes, self.env, self.folder, self.folders = snapshot


def _invocation(script: Path) -> Folded:
    command = Folded()
    for key in ("Path", "Definition", "Source"):
        command.set(key, str(script))
    command.set("Name", script.name)
    found = Folded()
    found.set("MyCommand", command)
    found.set("ScriptName", str(script))
    return found
