"""Reaches a module at its import: something around its execution, something behind it."""

from __future__ import annotations

import importlib.abc
import sys
from contextlib import nullcontext
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Around = Callable[[], AbstractContextManager[object]]
    Behind = Callable[[ModuleType], None]


class Reach(importlib.abc.MetaPathFinder):
    """Stands in front of the usual finders while the imports last; each name is met once."""

    def __init__(self, around: Mapping[str, Around], behind: Mapping[str, Behind]) -> None:
        self._around = dict(around)
        self._behind = dict(behind)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        around, behind = self._around.pop(fullname, None), self._behind.pop(fullname, None)
        if around is None and behind is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, around, behind)
        return spec

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Loader(importlib.abc.Loader):
    """The module's own loader, with ours around it for the one moment; the module keeps its own."""

    def __init__(self, loader: Any, around: Around | None, behind: Behind | None) -> None:
        self._loader, self._around, self._behind = loader, around, behind

    def __getattr__(self, name: str) -> Any:  # get_code, get_source, is_package: whatever the usual one has
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._around() if self._around else nullcontext():
            self._loader.exec_module(module)
        if self._behind is not None:
            try:
                self._behind(module)
            except Exception:  # noqa: BLE001  (fails open: the module is as it was)
                return
