"""What transformers finds out at each import by reading all of its model files: which module has which names.

`define_import_structure` walks 2,600 files for `transformers` and once more for `transformers.models`. The second time
is answered from the first, and the first from a note that belongs to this version in this place.
"""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.files import write_atomic

if TYPE_CHECKING:
    from types import ModuleType

    Structure = dict[frozenset[str], dict[str, set[str]]]  # backends → module → its names

KNOWN_VERSIONS = ("4.54.1",)
MOST_BYTES = 4 << 20  # the note of 4.54.1 has 0.4 MB


class Structures:
    """The structure of `transformers.models`, from memory, from the note, or from transformers itself."""

    def __init__(self, notes: Path | None) -> None:
        self._notes = notes
        self._found: Structure | None = None

    def install(self, module: ModuleType) -> None:
        """Wrap the function of `transformers.utils.import_utils`, where that is one we know."""
        version = metadata.version("transformers")
        if version not in KNOWN_VERSIONS:
            return
        models = Path(str(module.__file__)).parent.parent / "models"
        note = None if self._notes is None else self._notes / "imports" / note_name(version, models)
        original = module.define_import_structure

        @functools.wraps(original)
        def define_import_structure(module_path: Any, prefix: str | None = None) -> Any:
            if Path(module_path) not in {models, models / "__init__.py"}:
                return original(module_path, prefix)
            if self._found is None:
                self._found = read_note(note) or self._ask(original, models, note)
            if self._found is None:
                return original(module_path, prefix)
            start = "" if prefix is None else f"{prefix}."
            return {
                backends: {f"{start}{name}": set(names) for name, names in modules.items()}
                for backends, modules in self._found.items()
            }

        module.define_import_structure = define_import_structure  # type: ignore[attr-defined]

    @staticmethod
    def _ask(original: Any, models: Path, note: Path | None) -> Structure | None:
        found = original(models)
        if not is_plain(found):
            return None
        if note is not None:
            try:
                note.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(note, to_text(found))
            except OSError:  # only a convenience
                pass
        structure: Structure = found
        return structure


def note_name(version: str, models: Path) -> str:
    """Changes with the version, the place, and each installation of it."""
    record = next(iter(models.parent.parent.glob(f"transformers-{version}.dist-info/RECORD")), models)
    about = f"{models} {record.stat().st_mtime_ns} {record.stat().st_size}"
    return f"transformers-{version}-{hashlib.sha256(about.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.json"


def is_plain(found: Any) -> bool:
    """Whether it is of the types that a note can keep."""
    return isinstance(found, dict) and all(
        isinstance(backends, frozenset) and isinstance(modules, dict)
        and all(isinstance(name, str) and isinstance(names, set) and _are_texts(names) for name, names in modules.items())
        and _are_texts(backends)
        for backends, modules in found.items()
    )  # fmt: skip


def to_text(structure: Structure) -> str:
    """JSON; the order of the modules is kept."""
    return json.dumps(
        [
            [sorted(backends), {name: sorted(names) for name, names in modules.items()}]
            for backends, modules in structure.items()
        ]
    )


def read_note(note: Path | None) -> Structure | None:
    """What a note says; None where there is none, or a damaged one."""
    try:
        if note is None or note.stat().st_size > MOST_BYTES:
            return None
        found = {
            frozenset(backends): {name: set(names) for name, names in modules.items()}
            for backends, modules in json.loads(note.read_bytes())
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return found if is_plain(found) and found else None


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)
