"""Calls functions with a module as soon as that module has been imported in the normal way."""

import importlib.abc
import importlib.machinery
import sys


class After(importlib.abc.MetaPathFinder):
    def __init__(self, calls):
        self.calls = calls

    def find_spec(self, name, path=None, target=None):
        if name not in self.calls:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader, self.calls[name])
        return spec


class Loader(importlib.abc.Loader):
    def __init__(self, loader, calls):
        self._loader, self._calls = loader, calls

    def __getattr__(self, name):  # get_code, get_source, is_package, ...: whatever the normal one has
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.__loader__ = module.__spec__.loader = self._loader
        for call in self._calls:
            call(module)


def install(*tables):
    calls = {}
    for table in tables:
        for name, call in table.items():
            calls.setdefault(name, []).append(call)
    sys.meta_path.insert(0, After(calls))
