"""On PYTHONPATH of a training process: shrinks the model, records, kills. Changes modules after their import only.

The trainer's files stay as they are, so whoever recognises them by their hash still does.
"""

import importlib.abc
import importlib.machinery
import sys


class After(importlib.abc.MetaPathFinder):
    """Calls a function with a module as soon as that module has been imported in the normal way."""

    def __init__(self):
        self.calls = {}

    def find_spec(self, name, path=None, target=None):
        if name not in self.calls:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.calls[name])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader, calls):
        self._loader = loader
        self._calls = calls

    def __getattr__(self, name):  # get_code, get_source, is_package, ...: whatever the normal one has
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.__loader__ = module.__spec__.loader = self._loader
        for call in self._calls:
            call(module)


def main():
    import shrink_ddp
    import shrink_fail
    import shrink_moves
    import shrink_oom
    import shrink_record
    import shrink_sizes
    import shrink_upload

    after = After()
    parts = (shrink_sizes, shrink_record, shrink_fail, shrink_moves, shrink_ddp, shrink_oom, shrink_upload)
    for part in parts:
        for name, call in part.AFTER.items():
            after.calls.setdefault(name, []).append(call)
    sys.meta_path.insert(0, after)


main()
